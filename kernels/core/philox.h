// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random bits from a
// counter and a key, without state. The same numbers come out on every device, in any order, on any number of threads.
//
// Key     = (seed, purpose): see Purpose.
// Counter = (element / 4, subindex, sample, time): sample = index in the data set, time = epoch, subindex = view, layer
//           or operator. Draws for a whole batch use sample = 2^32 - 1 and time = step. Word `element % 4` is the draw.
#pragma once

#include <cstdint>

#include "kernels/core/bf16.h"  // MAE_HOST_DEVICE

namespace kernels {

/// The second key word: what a random number is for. Values are part of the reproducibility promise: never renumber.
enum class Purpose : std::uint32_t {
  mask = 1,
  crop = 2,
  flip = 3,
  shuffle = 4,
  init = 5,
  probe = 6,
  test = 7,
  drop_path = 8,
  mix = 9,
  erase = 10,
  rand_augment = 11,
  color_jitter = 12,
  turn = 13
};

inline constexpr std::uint32_t whole_batch = 0xffffffffu;  // the `sample` of draws made once for a batch

struct PhiloxKey {
  std::uint32_t seed, purpose;
};
struct PhiloxCounter {
  std::uint32_t block, subindex, sample, time;
};
struct PhiloxWords {
  std::uint32_t w[4];
};

MAE_HOST_DEVICE inline PhiloxWords philox(PhiloxCounter c, PhiloxKey k) {
  std::uint32_t x0 = c.block, x1 = c.subindex, x2 = c.sample, x3 = c.time;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * x0, p1 = 0xCD9E8D57ull * x2;
    const std::uint32_t y0 = static_cast<std::uint32_t>(p1 >> 32) ^ x1 ^ k.seed;
    const std::uint32_t y2 = static_cast<std::uint32_t>(p0 >> 32) ^ x3 ^ k.purpose;
    x1 = static_cast<std::uint32_t>(p1);
    x3 = static_cast<std::uint32_t>(p0);
    x0 = y0;
    x2 = y2;
    k.seed += 0x9E3779B9u;
    k.purpose += 0xBB67AE85u;
  }
  return {{x0, x1, x2, x3}};
}

/// Draw number `element` of the stream that the other arguments name.
MAE_HOST_DEVICE inline std::uint32_t philox_word(std::uint32_t element, PhiloxCounter c, PhiloxKey k) {
  c.block = element / 4;
  return philox(c, k).w[element % 4];
}

/// Uniform in [0, 1) from the upper 24 bits: exact in f32, so f32 and f64 agree.
MAE_HOST_DEVICE inline double uniform(std::uint32_t word) { return (word >> 8) * (1.0 / 16777216.0); }

}  // namespace kernels
