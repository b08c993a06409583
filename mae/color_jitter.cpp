#include "mae/color_jitter.h"

#include <algorithm>
#include <array>

#include "mae/color.h"

namespace mae {
namespace {

struct Adjustment {
  void (*adjust)(const Editable&, double);
  double range;
  std::uint32_t word;
};

/// The n-th permutation in the order of a dictionary.
template <class T, std::size_t N>
void permute(std::array<T, N>& values, int n) {
  std::array<std::size_t, N> order;
  for (std::size_t i = 0; i < N; ++i) order[i] = i;
  for (; n > 0; --n) std::next_permutation(order.begin(), order.end());
  const std::array<T, N> before = values;
  for (std::size_t i = 0; i < N; ++i) values[i] = before[order[i]];
}

}  // namespace

void color_jitter(const Editable& image, const ColorJitter& o, const DrawOf& draw) {
  const auto [w] = words(draw, kernels::Purpose::color_jitter, 0);
  std::array<Adjustment, 3> adjustments{Adjustment{adjust_brightness, o.brightness, w[1]},
                                        Adjustment{adjust_contrast, o.contrast, w[2]},
                                        Adjustment{adjust_color, o.saturation, w[3]}};
  permute(adjustments, below(6, w[0]));
  for (const Adjustment& a : adjustments) {
    if (a.range > 0) a.adjust(image, between(std::max(0.0, 1 - a.range), 1 + a.range, a.word));
  }
}

}  // namespace mae
