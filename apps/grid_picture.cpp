#include "apps/grid_picture.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/text.h"
#include "kernels/core/check.h"

namespace apps {
namespace {

constexpr TextStyle title_style{24, ink}, caption_style{17, ink};
constexpr int margin = 24, gap = 8, wanted_tile = 128;  // pixels

struct Layout {
  std::size_t rows, columns;
  int enlarge, cell_width, cell_height;
  int left, top;                                // of the first tile
  std::vector<std::vector<std::string>> heads;  // lines over each column
  int width, height;                            // of the picture
};

void check(const Grid& grid) {
  const std::size_t columns = grid.tiles.empty() ? 0 : grid.tiles[0].size();
  if (columns == 0) throw kernels::Error("no tiles", "grid picture", "give at least one row with one tile");
  for (const auto& row : grid.tiles)
    if (row.size() != columns)
      throw kernels::Error(fmt::format("rows of {} and of {} tiles", columns, row.size()), "grid picture",
                           "fill short rows with an empty Canvas");
  const auto fits = [](std::size_t captions, std::size_t wanted) { return captions == 0 || captions == wanted; };
  if (!fits(grid.columns.size(), columns) || !fits(grid.rows.size(), grid.tiles.size()))
    throw kernels::Error(fmt::format("{} x {} tiles with captions for {} rows and {} columns", grid.tiles.size(),
                                     columns, grid.rows.size(), grid.columns.size()),
                         "grid picture", "give one caption a row and a column, or none");
  if (grid.enlarge < 0) throw kernels::Error(fmt::format("cannot enlarge {} times", grid.enlarge), "grid picture");
}

Layout lay_out(const Grid& grid) {
  Layout out{grid.tiles.size(), grid.tiles[0].size(), grid.enlarge, 1, 1, margin, margin, {}, 0, 0};
  for (const auto& row : grid.tiles)
    for (const Canvas& tile : row)
      out.cell_width = std::max(out.cell_width, tile.width), out.cell_height = std::max(out.cell_height, tile.height);
  if (out.enlarge == 0) out.enlarge = std::max(1, (wanted_tile + out.cell_width / 2) / out.cell_width);
  out.cell_width *= out.enlarge, out.cell_height *= out.enlarge;

  const int line = text_height(caption_style);
  std::size_t head_lines = 0;
  for (const std::string& caption : grid.columns) {
    out.heads.push_back(wrapped(caption, caption_style, out.cell_width));
    head_lines = std::max(head_lines, out.heads.back().size());
    for (const std::string& text : out.heads.back())
      out.cell_width = std::max(out.cell_width, text_width(text, caption_style));
  }
  if (!grid.title.empty()) out.top += text_height(title_style) + 2 * gap;
  if (head_lines > 0) out.top += int(head_lines) * line + gap;
  int widest = 0;
  for (const std::string& caption : grid.rows) widest = std::max(widest, text_width(caption, caption_style));
  if (widest > 0) out.left += widest + 2 * gap;
  out.width = out.left + int(out.columns) * (out.cell_width + gap) - gap + margin;
  out.width = std::max(out.width, 2 * margin + text_width(grid.title, title_style));
  out.height = out.top + int(out.rows) * (out.cell_height + gap) - gap + margin;
  return out;
}

void draw_captions(Canvas& canvas, const Grid& grid, const Layout& at) {
  const int line = text_height(caption_style);
  draw_text(canvas, margin, margin, grid.title, title_style);
  for (std::size_t column = 0; column < at.heads.size(); ++column) {
    const int x = at.left + int(column) * (at.cell_width + gap);
    int y = at.top - gap - int(at.heads[column].size()) * line;
    for (const std::string& text : at.heads[column]) {
      draw_text(canvas, x + (at.cell_width - text_width(text, caption_style)) / 2, y, text, caption_style);
      y += line;
    }
  }
  for (std::size_t row = 0; row < grid.rows.size(); ++row)
    draw_text(canvas, at.left - 2 * gap - text_width(grid.rows[row], caption_style),
              at.top + int(row) * (at.cell_height + gap) + (at.cell_height - line) / 2, grid.rows[row], caption_style);
}

}  // namespace

Canvas draw(const Grid& grid) {
  check(grid);
  const Layout at = lay_out(grid);
  Canvas canvas = make_canvas(at.width, at.height);
  draw_captions(canvas, grid, at);
  for (std::size_t row = 0; row < at.rows; ++row)
    for (std::size_t column = 0; column < at.columns; ++column) {
      const Canvas& tile = grid.tiles[row][column];
      if (tile.rgb.empty()) continue;
      const int x = at.left + int(column) * (at.cell_width + gap) + (at.cell_width - tile.width * at.enlarge) / 2;
      const int y = at.top + int(row) * (at.cell_height + gap) + (at.cell_height - tile.height * at.enlarge) / 2;
      blit(canvas, tile, x, y, at.enlarge);
    }
  return canvas;
}

}  // namespace apps
