#include "apps/contact_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/grid_picture.h"
#include "apps/table.h"
#include "engine/number.h"
#include "mae/loader.h"
#include "mae/reconstruct.h"

namespace apps {
namespace {

/// "class 7" where its name is a bare number.
std::string class_name(const mae::Dataset& data, int label) {
  const std::string& name = data.classes[static_cast<std::size_t>(label)];
  return engine::parse_number<int>(name) ? "class " + name : name;
}

/// Class, else file; never so long that the images become a margin.
std::string caption_of(const mae::Dataset& data, std::int64_t sample) {
  constexpr std::size_t longest = 24;
  const int label = data.label ? data.label(sample) : -1;
  std::string text = fmt::format("sample {}", sample);
  if (label >= 0) text = class_name(data, label);
  else if (data.file) text = std::filesystem::path(data.file(sample)).filename().string();
  return shortened(text, longest);
}

std::vector<Canvas> row_of(const mae::Image& image, std::uint32_t sample, const SheetOptions& o) {
  const auto tile = [&](const mae::Image& seen) { return canvas_of(mae::picture(seen, o.bands, o.value_range)); };
  std::vector<Canvas> tiles{tile(mae::fit(image, o.height, o.width))};
  for (std::uint32_t epoch = 0; o.augment && epoch < o.epochs; ++epoch) {
    const mae::DrawOf draw{.seed = o.seed, .sample = sample, .epoch = epoch};
    mae::Image seen = mae::make_image(o.height, o.width, image.channels, image.dtype);
    mae::augment(view_of(image), {.range = o.crop}, draw, o.height, o.width, seen.pixels.data());
    tiles.push_back(tile(seen));
  }
  return tiles;
}

}  // namespace

Canvas contact_sheet(const mae::Dataset& data, const SheetOptions& o) {
  Grid grid{.title = fmt::format("What the model sees, {} x {}{}", o.height, o.width,
                                 o.augment ? fmt::format(": random crops and flips of seed {}", o.seed) : ""),
            .columns = {"fitted"},
            .rows = {},
            .tiles = {}};
  for (std::uint32_t epoch = 0; o.augment && epoch < o.epochs; ++epoch)
    grid.columns.push_back(fmt::format("epoch {}", epoch + 1));
  std::vector<mae::Damaged> damaged;
  const std::int64_t rows = std::min(o.samples, data.size);
  for (std::int64_t n = 0; n < rows; ++n) {
    const std::int64_t sample = n * data.size / rows;
    const auto [image, taken] = mae::read_or_next(data, sample, damaged);
    grid.rows.push_back(caption_of(data, taken));
    grid.tiles.push_back(row_of(image, static_cast<std::uint32_t>(sample), o));
  }
  return draw(grid);
}

}  // namespace apps
