#include "mae/interpolate.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mae {
namespace {

/// Four taps of one place on an axis: where they read, edges repeated, and their weights.
struct Taps {
  std::array<std::int64_t, 4> at;
  std::array<double, 4> weight;
};

double cubic(double x) {
  constexpr double a = -0.75;
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

std::vector<Taps> taps_of(std::int64_t from, std::int64_t to) {
  std::vector<Taps> taps;
  for (std::int64_t i = 0; i < to; ++i) {
    const double scale = static_cast<double>(from) / static_cast<double>(to);
    const double place = (static_cast<double>(i) + 0.5) * scale - 0.5, whole = std::floor(place);
    Taps t{};
    for (int k = 0; k < 4; ++k) {
      t.at[static_cast<std::size_t>(k)] =
          std::clamp<std::int64_t>(static_cast<std::int64_t>(whole) + k - 1, 0, from - 1);
      t.weight[static_cast<std::size_t>(k)] = cubic(place - whole - k + 1);
    }
    taps.push_back(t);
  }
  return taps;
}

}  // namespace

std::vector<double> interpolate_positions(const std::vector<double>& table, std::int64_t class_rows, const Grid& from,
                                          const Grid& to) {
  const std::int64_t dim = static_cast<std::int64_t>(table.size()) / (class_rows + from.patches());
  std::vector<double> out(static_cast<std::size_t>((class_rows + to.patches()) * dim));
  std::copy_n(table.begin(), class_rows * dim, out.begin());
  const double* in = table.data() + class_rows * dim;
  const std::vector<Taps> rows = taps_of(from.rows, to.rows), columns = taps_of(from.columns, to.columns);
  double* place = out.data() + class_rows * dim;
  for (const Taps& row : rows) {
    for (const Taps& column : columns) {
      for (std::size_t i = 0; i < 4; ++i) {
        for (std::size_t j = 0; j < 4; ++j) {
          const double* source = in + (row.at[i] * from.columns + column.at[j]) * dim;
          for (std::int64_t d = 0; d < dim; ++d) place[d] += row.weight[i] * column.weight[j] * source[d];
        }
      }
      place += dim;
    }
  }
  return out;
}

std::vector<double> adapt_channels(const std::vector<double>& weight, std::int64_t out, std::int64_t channels,
                                   std::int64_t to, ChannelRule rule) {
  const std::int64_t area = static_cast<std::int64_t>(weight.size()) / (out * channels);
  const double scale = static_cast<double>(channels) / static_cast<double>(to);
  std::vector<double> adapted(static_cast<std::size_t>(out * to * area));
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t c = 0; c < to; ++c) {
      for (std::int64_t i = 0; i < area; ++i) {
        const auto of = [&](std::int64_t channel) {
          return weight[static_cast<std::size_t>((o * channels + channel) * area + i)];
        };
        double value = rule == ChannelRule::repeat ? of(c % channels) : 0;
        for (std::int64_t k = 0; rule == ChannelRule::mean && k < channels; ++k)
          value += of(k) / static_cast<double>(channels);
        adapted[static_cast<std::size_t>((o * to + c) * area + i)] = value * scale;
      }
    }
  }
  return adapted;
}

}  // namespace mae
