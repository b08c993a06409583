#include "apps/text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "kernels/core/check.h"

#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_easy_font.h>
#include <stb/stb_truetype.h>

namespace apps {
namespace {

/// Code points of UTF-8; broken bytes become U+FFFD, control characters a space.
std::vector<char32_t> decode(const std::string& text) {
  std::vector<char32_t> points;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    char32_t point = more <= 0 ? lead : lead & (0x3f >> more);
    for (; more > 0 && i < text.size() && (text[i] & 0xc0) == 0x80; --more) point = point << 6 | (text[i++] & 0x3f);
    points.push_back(more != 0 ? 0xfffd : point < 32 ? U' ' : point);
  }
  return points;
}

// ---- DejaVu Sans through stb_truetype

struct Font {
  std::vector<unsigned char> file;  // stbtt_fontinfo points into it
  stbtt_fontinfo info;
};

std::optional<Font> load_font() {
  for (const char* path :
       {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
        "/usr/share/fonts/TTF/DejaVuSans.ttf", "/usr/share/fonts/dejavu/DejaVuSans.ttf"}) {
    std::ifstream in(path, std::ios::binary);
    Font font{{std::istreambuf_iterator<char>(in), {}}, {}};
    if (font.file.size() > 1024 && stbtt_InitFont(&font.info, font.file.data(), 0)) return font;
  }
  return std::nullopt;
}

const Font* font() {
  static const std::optional<Font> found = load_font();
  return found ? &*found : nullptr;
}

const Font* font_of(const TextStyle& style) { return style.face == Face::best ? font() : nullptr; }

struct Glyph {
  int index;
  float shift;                   // of the pen within its pixel, [0, 1)
  int left, top, right, bottom;  // of the ink, from the pen's start on the base line
};

struct Line {
  std::vector<Glyph> glyphs;
  int left = 0, right = 0;  // of ink and advance together, from the pen's start
  float scale = 1;
};

Line lay_out(const Font& in, const std::string& text, int size) {
  Line line;
  line.scale = stbtt_ScaleForMappingEmToPixels(&in.info, float(size));
  float pen = 0;
  int previous = 0;
  for (const char32_t point : decode(text)) {
    const int index = stbtt_FindGlyphIndex(&in.info, int(point));
    if (previous) pen += line.scale * stbtt_GetGlyphKernAdvance(&in.info, previous, index);
    Glyph glyph{index, pen - std::floor(pen), 0, 0, 0, 0};
    stbtt_GetGlyphBitmapBoxSubpixel(&in.info, index, line.scale, line.scale, glyph.shift, 0, &glyph.left, &glyph.top,
                                    &glyph.right, &glyph.bottom);
    glyph.left += int(std::floor(pen)), glyph.right += int(std::floor(pen));
    int advance = 0, bearing = 0;
    stbtt_GetGlyphHMetrics(&in.info, index, &advance, &bearing);
    pen += line.scale * advance;
    line.left = std::min(line.left, glyph.left), line.right = std::max({line.right, glyph.right, int(std::ceil(pen))});
    line.glyphs.push_back(glyph);
    previous = index;
  }
  return line;
}

struct Extent {
  int above, below;  // pixels over and under the base line
};

Extent vertical(const Font& in, int size) {
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&in.info, &ascent, &descent, &gap);
  const float scale = stbtt_ScaleForMappingEmToPixels(&in.info, float(size));
  return {int(std::ceil(scale * ascent)), int(std::ceil(-scale * descent))};
}

void draw_glyphs(Canvas& canvas, int x, int y, const Font& in, const std::string& text, const TextStyle& style) {
  const Line line = lay_out(in, text, style.size);
  const Extent extent = vertical(in, style.size);
  std::vector<unsigned char> cover;
  for (const Glyph& glyph : line.glyphs) {
    const int width = glyph.right - glyph.left, height = glyph.bottom - glyph.top;
    cover.assign(std::size_t(width) * height, 0);
    if (cover.empty()) continue;
    stbtt_MakeGlyphBitmapSubpixel(&in.info, cover.data(), width, height, width, line.scale, line.scale, glyph.shift, 0,
                                  glyph.index);
    for (int row = 0; row < height; ++row) {
      const int level = extent.above + glyph.top + row;
      if (level < 0 || level >= extent.above + extent.below) continue;  // keeps stacked accents in the box
      for (int column = 0; column < width; ++column)
        blend(canvas, x + glyph.left - line.left + column, y + level, style.colour,
              cover[std::size_t(row) * width + column] / 255.0);
    }
  }
}

// ---- the built-in font: stb_easy_font's quads, enlarged by a whole factor

constexpr int built_in_size = 9, built_in_height = 12;

int factor(int size) { return std::max(1, (size + built_in_size / 2) / built_in_size); }

/// stb_easy_font indexes its table with any byte, so only ASCII may reach it.
std::string ascii(const std::string& text) {
  std::string out;
  for (const char32_t point : decode(text)) out += point >= 32 && point < 127 ? char(point) : '?';
  return out;
}

void draw_quads(Canvas& canvas, int x, int y, const std::string& text, const TextStyle& style) {
  struct Vertex {
    float x, y, z;
    unsigned char colour[4];
  };
  std::string line = ascii(text);
  std::vector<Vertex> vertices(line.size() * 120 + 4);
  const int quads =
      stb_easy_font_print(0, 0, line.data(), nullptr, vertices.data(), int(vertices.size() * sizeof(Vertex)));
  const int by = factor(style.size);
  for (int q = 0; q < quads; ++q) {
    const Vertex &from = vertices[std::size_t(q) * 4], &to = vertices[std::size_t(q) * 4 + 2];
    rectangle(canvas, x + int(from.x) * by, y + int(from.y) * by, int(to.x - from.x) * by, int(to.y - from.y) * by,
              style.colour);
  }
}

void check(const TextStyle& style) {
  if (style.size < 1 || style.size > 1000)
    throw kernels::Error("a text size of " + std::to_string(style.size) + " pixels", "text", "sizes are 1 to 1000");
}

}  // namespace

int text_width(const std::string& text, const TextStyle& style) {
  check(style);
  if (const Font* found = font_of(style)) {
    const Line line = lay_out(*found, text, style.size);
    return line.right - line.left;
  }
  return stb_easy_font_width(ascii(text).data()) * factor(style.size);
}

int text_height(const TextStyle& style) {
  check(style);
  if (const Font* found = font_of(style)) {
    const Extent extent = vertical(*found, style.size);
    return extent.above + extent.below;
  }
  return built_in_height * factor(style.size);
}

void draw_text(Canvas& canvas, int x, int y, const std::string& text, const TextStyle& style) {
  check(style);
  if (const Font* found = font_of(style)) draw_glyphs(canvas, x, y, *found, text, style);
  else draw_quads(canvas, x, y, text, style);
}

std::vector<std::string> wrapped(const std::string& text, const TextStyle& style, int width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!lines.empty() && text_width(lines.back() + ' ' + word, style) <= width) lines.back() += ' ' + word;
    else lines.push_back(word);
  }
  return lines;
}

}  // namespace apps
