#include "apps/canvas.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kernels/core/check.h"

namespace apps {
namespace {

void check(const Canvas& canvas, const char* where) {
  const auto wanted = std::size_t(std::max(canvas.width, 0)) * std::size_t(std::max(canvas.height, 0)) * 3;
  if (canvas.width < 1 || canvas.height < 1 || canvas.rgb.size() != wanted)
    throw kernels::Error(
        fmt::format("a picture of {} x {} pixels holds {} bytes", canvas.width, canvas.height, canvas.rgb.size()),
        where, "make pictures with make_canvas or from_grey");
}

bool inside(const Canvas& canvas, int x, int y) { return x >= 0 && y >= 0 && x < canvas.width && y < canvas.height; }

std::uint8_t* at(Canvas& canvas, int x, int y) { return &canvas.rgb[(std::size_t(y) * canvas.width + x) * 3]; }

struct Span {
  int first, last;  // pixels, both included; empty when last < first
};

/// The pixels of [0, size) that [low, high] touches; clamped before the conversion, so far-off coordinates cannot
/// overflow.
Span touched(double low, double high, int size) {
  const double end = size;
  return {int(std::floor(std::clamp(low, 0.0, end))), int(std::floor(std::clamp(high, -1.0, end - 1)))};
}

/// How much of a pixel around (x, y) a line from a to b covers: a ramp one pixel wide about the line's edge.
double coverage(double x, double y, Point a, Point b, double width) {
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  const double along = length2 > 0 ? std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length2, 0.0, 1.0) : 0;
  const double distance = std::hypot(x - a.x - along * dx, y - a.y - along * dy);
  return std::clamp(width / 2 + 0.5 - distance, 0.0, 1.0);
}

/// Coverage of a whole line, kept as its maximum over the segments so that joints do not add up.
struct Mask {
  int width, height;
  std::vector<float> cover;  // (height, width)

  void segment(Point a, Point b, double line_width) {
    const double reach = line_width / 2 + 1;
    const Span rows = touched(std::min(a.y, b.y) - reach, std::max(a.y, b.y) + reach, height);
    const Span columns = touched(std::min(a.x, b.x) - reach, std::max(a.x, b.x) + reach, width);
    for (int y = rows.first; y <= rows.last; ++y)
      for (int x = columns.first; x <= columns.last; ++x) {
        float& old = cover[std::size_t(y) * width + x];
        if (old < 1) old = std::max(old, float(coverage(x + 0.5, y + 0.5, a, b, line_width)));
      }
  }
};

}  // namespace

Canvas make_canvas(int width, int height, Colour background) {
  if (width < 1 || height < 1 || std::int64_t(width) * height > (std::int64_t(1) << 28))
    throw kernels::Error(fmt::format("a picture cannot be {} x {} pixels", width, height), "make_canvas",
                         "ask for sides of at least 1 and at most 2^28 pixels in all");
  Canvas canvas{width, height, std::vector<std::uint8_t>(std::size_t(width) * height * 3)};
  rectangle(canvas, 0, 0, width, height, background);
  return canvas;
}

Canvas from_grey(int width, int height, const std::vector<std::uint8_t>& grey) {
  Canvas canvas = make_canvas(width, height);
  if (grey.size() * 3 != canvas.rgb.size())
    throw kernels::Error(fmt::format("{} grey bytes for {} x {} pixels", grey.size(), width, height), "from_grey");
  for (std::size_t i = 0; i < canvas.rgb.size(); ++i) canvas.rgb[i] = grey[i / 3];
  return canvas;
}

Canvas canvas_of(const mae::Image& image) {
  const auto* pixels = image.as<std::uint8_t>();
  const std::vector<std::uint8_t> bytes(pixels, pixels + image.pixels.size());
  if (image.channels == 1) return from_grey(image.width, image.height, bytes);
  return {.width = image.width, .height = image.height, .rgb = bytes};
}

Colour pixel(const Canvas& canvas, int x, int y) {
  if (!inside(canvas, x, y))
    throw kernels::Error(fmt::format("({}, {}) is outside {} x {} pixels", x, y, canvas.width, canvas.height), "pixel");
  const std::uint8_t* p = at(const_cast<Canvas&>(canvas), x, y);
  return {p[0], p[1], p[2]};
}

void blend(Canvas& canvas, int x, int y, Colour colour, double opacity) {
  if (!inside(canvas, x, y) || !(opacity > 0)) return;
  const double a = std::min(opacity, 1.0);
  std::uint8_t* p = at(canvas, x, y);
  const std::uint8_t over[3] = {colour.r, colour.g, colour.b};
  for (int c = 0; c < 3; ++c) p[c] = std::uint8_t(std::lround(p[c] + a * (over[c] - p[c])));
}

void rectangle(Canvas& canvas, int x, int y, int width, int height, Colour colour) {
  check(canvas, "rectangle");
  const Span rows = touched(y, double(y) + height - 1, canvas.height),
             columns = touched(x, double(x) + width - 1, canvas.width);
  for (int row = rows.first; row <= rows.last; ++row)
    for (int column = columns.first; column <= columns.last; ++column) blend(canvas, column, row, colour, 1);
}

void blit(Canvas& canvas, const Canvas& tile, int x, int y, int enlarge) {
  check(canvas, "blit");
  check(tile, "blit");
  if (enlarge < 1)
    throw kernels::Error(fmt::format("cannot enlarge a tile {} times", enlarge), "blit", "1 is as it is");
  const Span rows = touched(y, double(y) + double(tile.height) * enlarge - 1, canvas.height);
  const Span columns = touched(x, double(x) + double(tile.width) * enlarge - 1, canvas.width);
  for (int row = rows.first; row <= rows.last; ++row)
    for (int column = columns.first; column <= columns.last; ++column) {
      const auto source = std::size_t((row - y) / enlarge) * tile.width + std::size_t((column - x) / enlarge);
      std::copy_n(&tile.rgb[source * 3], 3, at(canvas, column, row));
    }
}

void polyline(Canvas& canvas, const std::vector<Point>& points, const Stroke& stroke) {
  check(canvas, "polyline");
  Mask mask{canvas.width, canvas.height, std::vector<float>(std::size_t(canvas.width) * canvas.height)};
  const auto finite = [&](std::size_t i) {
    return i < points.size() && std::isfinite(points[i].x) && std::isfinite(points[i].y);
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!finite(i)) continue;
    if (finite(i + 1)) mask.segment(points[i], points[i + 1], stroke.width);
    else if (i == 0 || !finite(i - 1)) mask.segment(points[i], points[i], stroke.width * 2);
  }
  for (int y = 0; y < canvas.height; ++y)
    for (int x = 0; x < canvas.width; ++x)
      blend(canvas, x, y, stroke.colour, stroke.opacity * mask.cover[std::size_t(y) * canvas.width + x]);
}

void write_png(const std::string& path, const Canvas& canvas) {
  check(canvas, "write_png");
  mae::Image image = mae::make_image(canvas.height, canvas.width, 3, kernels::DType::u8);
  std::copy(canvas.rgb.begin(), canvas.rgb.end(), image.as<std::uint8_t>());
  mae::write_png(path, image);
}

}  // namespace apps
