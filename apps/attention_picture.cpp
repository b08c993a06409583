#include "apps/attention_picture.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace apps {
namespace {

/// From black over purple, red and yellow to white, for shares of the largest value.
Colour heat(double share) {
  constexpr std::array<Colour, 5> stops{{{0, 0, 0}, {87, 16, 110}, {214, 69, 63}, {252, 187, 44}, {255, 255, 255}}};
  const double at = std::clamp(share, 0.0, 1.0) * (stops.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), stops.size() - 2);
  const double t = at - static_cast<double>(i);
  const auto mixed = [&](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a + t * (b - a) + 0.5); };
  return {mixed(stops[i].r, stops[i + 1].r), mixed(stops[i].g, stops[i + 1].g), mixed(stops[i].b, stops[i + 1].b)};
}

/// What the query looks at, of one head: a value for each patch.
std::vector<double> of_head(const mae::AttentionMaps& maps, std::size_t block, std::int64_t head, const Query& query) {
  std::vector<double> values(static_cast<std::size_t>(maps.tokens - 1));
  const auto add = [&](std::int64_t token) {
    const std::span<const float> row = maps.row(block, head, token).subspan(1);  // without the class token
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += row[i];
  };
  if (query.kind == Query::Kind::class_token) add(0);
  if (query.kind == Query::Kind::patch) add(1 + query.patch);
  if (query.kind == Query::Kind::every_patch) {
    for (std::int64_t token = 1; token < maps.tokens; ++token) add(token);
  }
  return values;
}

/// The image, dark and without colour, under the heat.
Canvas overlaid(const Canvas& image, const std::vector<double>& values, int across) {
  constexpr double dark = 0.35;  // of the image's brightness is left
  const double largest = *std::max_element(values.begin(), values.end());
  const int side = image.width / across;
  Canvas tile = image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const Colour p = pixel(image, x, y);
      const double value = values[static_cast<std::size_t>(y / side * across + x / side)];
      const double share = largest > 0 ? value / largest : 0, grey = dark * (0.299 * p.r + 0.587 * p.g + 0.114 * p.b);
      const Colour hot = heat(share);
      const auto mixed = [&](std::uint8_t part) {
        return static_cast<std::uint8_t>((1 - share) * grey + share * part);
      };
      rectangle(tile, x, y, 1, 1, {mixed(hot.r), mixed(hot.g), mixed(hot.b)});
    }
  }
  return tile;
}

void frame_patch(Canvas& tile, std::int64_t patch, int across) {
  const int side = tile.width / across, x = static_cast<int>(patch) % across * side,
            y = static_cast<int>(patch) / across * side;
  const auto at = [](int v) { return static_cast<double>(v); };
  polyline(tile,
           {{at(x), at(y)}, {at(x + side), at(y)}, {at(x + side), at(y + side)}, {at(x), at(y + side)}, {at(x), at(y)}},
           {.colour = {214, 69, 63}, .width = 2});
}

}  // namespace

std::vector<Canvas> attention_tiles(const Canvas& image, const mae::AttentionMaps& maps, std::size_t block,
                                    const Query& query, int across) {
  std::vector<Canvas> heads;
  std::vector<double> mean(static_cast<std::size_t>(maps.tokens - 1));
  for (std::int64_t h = 0; h < maps.heads; ++h) {
    const std::vector<double> values = of_head(maps, block, h, query);
    std::transform(values.begin(), values.end(), mean.begin(), mean.begin(), std::plus<>());
    heads.push_back(overlaid(image, values, across));
  }
  std::vector<Canvas> tiles{image, overlaid(image, mean, across)};
  tiles.insert(tiles.end(), heads.begin(), heads.end());
  if (query.kind == Query::Kind::patch) {
    for (Canvas& tile : tiles) frame_patch(tile, query.patch, across);
  }
  return tiles;
}

}  // namespace apps
