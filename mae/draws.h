// What augmentation draws with: Philox words that depend on seed, sample, epoch and purpose alone (docs/randomness.md).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/core/philox.h"

namespace mae {

/// Which image, of which epoch, for which random stream: the same numbers give the same draws everywhere.
struct DrawOf {
  std::uint32_t seed = 0, sample = 0, epoch = 0, view = 0;
};

/// Elements 4 * block to 4 * block + 3 of what is drawn for `purpose`.
inline kernels::PhiloxWords words(const DrawOf& draw, kernels::Purpose purpose, std::uint32_t block,
                                  std::uint32_t subindex) {
  const kernels::PhiloxCounter counter{.block = block, .subindex = subindex, .sample = draw.sample, .time = draw.epoch};
  return philox(counter, {.seed = draw.seed, .purpose = static_cast<std::uint32_t>(purpose)});
}
inline kernels::PhiloxWords words(const DrawOf& draw, kernels::Purpose purpose, std::uint32_t block) {
  return words(draw, purpose, block, draw.view);
}

/// Uniform in [low, high).
inline double between(double low, double high, std::uint32_t word) {
  return low + (high - low) * kernels::uniform(word);
}

/// Uniform in 0 .. count - 1.
inline int below(int count, std::uint32_t word) {
  return static_cast<int>(static_cast<std::uint64_t>(count) * word >> 32);
}

/// N(0, 1) of two words, by Box-Muller.
inline double normal(std::uint32_t first, std::uint32_t second) {
  return std::sqrt(-2 * std::log(1 - kernels::uniform(first))) * std::cos(2 * M_PI * kernels::uniform(second));
}

/// Half to even, as Python rounds.
inline int rounded(double x) { return static_cast<int>(std::nearbyint(x)); }

}  // namespace mae
