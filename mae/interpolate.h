// What weights need to fit images of another size, or of other channels, than they were trained on.
#pragma once

#include <cstdint>
#include <vector>

namespace mae {

struct Grid {
  std::int64_t rows, columns;
  std::int64_t patches() const { return rows * columns; }
  bool operator==(const Grid&) const = default;
};

/// Positions (class_rows + L, dim) of a grid, as positions of another: the rows of the class token are kept, the others
/// bicubically interpolated as torch.nn.functional.interpolate does it (a = -0.75, align_corners=False, no antialias):
/// the official code (util/pos_embed.py), and transformers' encoder.
std::vector<double> interpolate_positions(const std::vector<double>& table, std::int64_t class_rows, const Grid& from,
                                          const Grid& to);

enum class ChannelRule { mean, repeat, random };

/// Weights (out, channels, area) of a patch projection, for `to` channels: each the mean of the old ones; or the old
/// ones one after another, over and over. Scaled by channels / to, so that a grey image gives the same tokens.
std::vector<double> adapt_channels(const std::vector<double>& weight, std::int64_t out, std::int64_t channels,
                                   std::int64_t to, ChannelRule rule);

}  // namespace mae
