// The bicubic filter of CropResize: which inputs an output is a sum of, with which weights, and how the sum becomes a
// pixel. Once for all devices. Weights are made in f64 from the sizes alone: wherever f64 is IEEE's, without fused
// multiply-adds, they have the same bits.
//
//   a = -0.5; where the side shrinks the filter is wider by the same factor; inputs beyond the box are not seen, so
//   weights are divided by their sum. u8: whole numbers of 22 fractional bits, as Pillow has them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/core/bf16.h"  // MAE_HOST_DEVICE

namespace kernels {

inline constexpr int fraction_bits = 22;  // 8 bits of pixel, 2 of head room for the filter's overshoot, in 32

/// What a pass computes in: whole numbers for u8, so that every machine gets Pillow's bits.
template <class T>
using FilterWeight = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::int32_t,
                                        std::conditional_t<std::is_same_v<T, double>, double, float>>;

/// The value between the passes: u8 stays u8.
template <class T>
using FilterMiddle = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::uint8_t, FilterWeight<T>>;

/// Output i is the sum over k < count of weight k * input[first + k].
struct FilterWindow {
  std::int32_t first, count;
};

/// The most inputs that an output can have.
MAE_HOST_DEVICE constexpr std::int64_t filter_taps(std::int64_t in, std::int64_t size) {
  return in <= size ? 5 : 2 * ((2 * in + size - 1) / size) + 1;
}

MAE_HOST_DEVICE constexpr double bicubic(double x) {
  x = x < 0 ? -x : x;
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

template <class W>
MAE_HOST_DEVICE constexpr W filter_weight(double w) {
  if constexpr (std::is_floating_point_v<W>) return static_cast<W>(w);
  else return static_cast<W>((w < 0 ? -0.5 : 0.5) + w * (1 << fraction_bits));
}

/// Writes the weights of output i of `size` from `in` inputs, `step` apart; no more than filter_taps.
template <class W>
MAE_HOST_DEVICE constexpr FilterWindow set_filter(int in, int size, int i, W* weights, std::int64_t step = 1) {
  const double scale = static_cast<double>(in) / size, widening = scale > 1 ? scale : 1.0, support = 2.0 * widening;
  const double centre = (i + 0.5) * scale;
  const int low = static_cast<int>(centre - support + 0.5), high = static_cast<int>(centre + support + 0.5);
  const int first = low > 0 ? low : 0, end = high < in ? high : in;
  double sum = 0;
  for (int x = first; x < end; ++x) sum += bicubic((x - centre + 0.5) * (1.0 / widening));
  for (int x = first; x < end; ++x) {
    weights[(x - first) * step] = filter_weight<W>(bicubic((x - centre + 0.5) * (1.0 / widening)) / sum);
  }
  return {first, end - first};
}

/// What a sum of weighted pixels starts from: half, where its fraction will be cut off.
template <class W>
MAE_HOST_DEVICE constexpr W filter_start() {
  return std::is_floating_point_v<W> ? W{0} : static_cast<W>(1 << (fraction_bits - 1));
}

/// The sum as a value of T: rounded and clipped, where T has whole numbers.
template <class T, class W>
MAE_HOST_DEVICE constexpr T filter_finish(W sum) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    const W value = sum >> fraction_bits;
    return static_cast<T>(value < 0 ? 0 : value > 255 ? 255 : value);
  } else if constexpr (std::is_same_v<T, std::uint16_t>) {
    return static_cast<T>((sum < 0.0f ? 0.0f : sum > 65535.0f ? 65535.0f : sum) + 0.5f);
  } else {
    return sum;
  }
}

/// What the second pass makes of a middle that it only copies.
template <class T>
MAE_HOST_DEVICE constexpr T filter_copy(FilterMiddle<T> value) {
  if constexpr (std::is_same_v<T, FilterMiddle<T>>) return value;
  else return filter_finish<T>(value);
}

}  // namespace kernels
