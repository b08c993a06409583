// The noise that fills erased boxes: which numbers it is, on every device.
//
// Element e = (y W + x) C + c of a sample in an epoch has word e % 4 of the Philox block e / 4, key (seed, erase),
// counter (e / 4, 0, sample, epoch). Two neighbours share two words and are the two normals of one Box-Muller: with r =
// sqrt(-2 log(1 - u0)) and t = 2 pi u1 the even one is r cos t, the odd one r sin t. T is the type it is computed in;
// log, cos and sin are the device's own, so devices agree within rounding.
#pragma once

#include <cmath>

#include "kernels/core/philox.h"

namespace kernels {

template <class T>
struct NormalPair {
  T even, odd;
};

/// Two normals of two random words.
template <class T>
MAE_HOST_DEVICE NormalPair<T> normal_pair(std::uint32_t word0, std::uint32_t word1) {
  const T u0 = T(1) - T(uniform(word0)), u1 = T(uniform(word1));  // exact in f32, and u0 is never 0
#if defined(__CUDA_ARCH__)
  T sine, cosine;  // of pi 2 u1: sinf and cosf would keep a table in local memory for angles that do not come
  if constexpr (sizeof(T) == 4) sincospif(2 * u1, &sine, &cosine);
  else sincospi(2 * u1, &sine, &cosine);
  const T radius = sqrt(T(-2) * log(u0));
#else
  const T angle = T(6.283185307179586) * u1, sine = std::sin(angle), cosine = std::cos(angle);
  const T radius = std::sqrt(T(-2) * std::log(u0));
#endif
  return {radius * cosine, radius * sine};
}

/// The words of elements 4 block to 4 block + 3.
MAE_HOST_DEVICE inline PhiloxWords noise_words(std::uint32_t block, std::uint32_t sample, std::uint32_t epoch,
                                               std::uint32_t seed) {
  return philox({.block = block, .subindex = 0, .sample = sample, .time = epoch},
                {.seed = seed, .purpose = static_cast<std::uint32_t>(Purpose::erase)});
}

/// The noise of one element.
template <class T>
MAE_HOST_DEVICE T erase_noise(std::uint32_t element, std::uint32_t sample, std::uint32_t epoch, std::uint32_t seed) {
  const PhiloxWords words = noise_words(element / 4, sample, epoch, seed);
  const std::uint32_t first = element % 4 / 2 * 2;
  const NormalPair<T> pair = normal_pair<T>(words.w[first], words.w[first + 1]);
  return element % 2 == 0 ? pair.even : pair.odd;
}

}  // namespace kernels
