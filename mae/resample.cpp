#include "mae/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace mae {
namespace {

using kernels::DType;

constexpr int fraction_bits = 22;  // 8 bits of pixel, 2 of head room for the filter's overshoot, in 32

double bicubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

/// What a pass computes in: whole numbers for u8, so that every machine gets Pillow's bits.
template <class T>
using Weight = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::int32_t, float>;

template <class W>
W weight_from(double w) {
  if constexpr (std::is_floating_point_v<W>) return static_cast<W>(w);
  else return static_cast<W>((w < 0 ? -0.5 : 0.5) + w * (1 << fraction_bits));
}

/// Output i is the sum over k < count[i] of weights[i * taps + k] * input[first[i] + k].
template <class W>
struct Filter {
  int taps = 0;
  std::vector<int> first, count;
  std::vector<W> weights;  // (size, taps)
  std::vector<double> row;

  void set(int in, int size) {
    const double scale = static_cast<double>(in) / size, widening = std::max(scale, 1.0), support = 2.0 * widening;
    taps = static_cast<int>(std::ceil(support)) * 2 + 1;
    const auto n = static_cast<std::size_t>(size);
    first.resize(n);
    count.resize(n);
    weights.resize(n * static_cast<std::size_t>(taps));
    row.resize(static_cast<std::size_t>(taps));
    for (std::size_t i = 0; i < n; ++i) {
      const double centre = (static_cast<double>(i) + 0.5) * scale;
      const int low = std::max(static_cast<int>(centre - support + 0.5), 0);
      const int high = std::min(static_cast<int>(centre + support + 0.5), in);
      double sum = 0;
      for (int x = low; x < high; ++x) {
        const double w = bicubic((x - centre + 0.5) * (1.0 / widening));
        row[static_cast<std::size_t>(x - low)] = w;
        sum += w;
      }
      W* out = &weights[i * static_cast<std::size_t>(taps)];
      for (int x = low; x < high; ++x) out[x - low] = weight_from<W>(row[static_cast<std::size_t>(x - low)] / sum);
      first[i] = low;
      count[i] = high - low;
    }
  }
};

std::uint8_t to_u8(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> fraction_bits, 0, 255)); }

/// The value between the passes: u8 stays u8.
template <class T>
using Middle = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::uint8_t, float>;

template <class T, class W>
T finish(W sum) {
  if constexpr (std::is_same_v<T, std::uint8_t>) return to_u8(sum);
  else if constexpr (std::is_same_v<T, std::uint16_t>) return static_cast<T>(std::clamp(sum, 0.0f, 65535.0f) + 0.5f);
  else return sum;
}

/// One pixel row of `width` outputs. C: channels, 0 where only known at run time.
template <int C, class T>
void filter_row(const T* in, Middle<T>* out, const Filter<Weight<T>>& filter, int width, int channels, bool flip) {
  using W = Weight<T>;
  constexpr W half = std::is_floating_point_v<W> ? W{0} : static_cast<W>(1 << (fraction_bits - 1));
  const int c_count = C > 0 ? C : channels;
  for (int x = 0; x < width; ++x) {
    const auto i = static_cast<std::size_t>(x);
    const W* weights = &filter.weights[i * static_cast<std::size_t>(filter.taps)];
    const T* from = in + static_cast<std::ptrdiff_t>(filter.first[i]) * c_count;
    const int count = filter.count[i];
    Middle<T>* to = out + static_cast<std::ptrdiff_t>(flip ? width - 1 - x : x) * c_count;
    if constexpr (C > 0) {
      W sums[C];
      std::fill_n(sums, C, half);
      for (int k = 0; k < count; ++k) {
        for (int c = 0; c < C; ++c) sums[c] += weights[k] * static_cast<W>(from[k * C + c]);
      }
      for (int c = 0; c < C; ++c) to[c] = finish<Middle<T>, W>(sums[c]);
    } else {
      for (int c = 0; c < c_count; ++c) {
        W sum = half;
        for (int k = 0; k < count; ++k) sum += weights[k] * static_cast<W>(from[k * c_count + c]);
        to[c] = finish<Middle<T>, W>(sum);
      }
    }
  }
}

/// A row whose width already fits.
template <class T>
void copy_row(const T* in, Middle<T>* out, int width, int channels, bool flip) {
  for (int x = 0; x < width; ++x) {
    const T* from = in + static_cast<std::ptrdiff_t>(flip ? width - 1 - x : x) * channels;
    std::copy_n(from, channels, out + static_cast<std::ptrdiff_t>(x) * channels);
  }
}

template <class T>
struct Scratch {
  Filter<Weight<T>> across, down;
  std::vector<Middle<T>> middle;  // (crop height, width, channels)
  std::vector<Weight<T>> sums;    // (width, channels)
};

template <class T>
void pass_across(const Image& image, const Crop& crop, int width, Scratch<T>& s) {
  const int channels = image.channels;
  const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(width) * channels;
  for (int y = 0; y < crop.height; ++y) {
    const T* in = image.as<T>() + (static_cast<std::ptrdiff_t>(crop.top + y) * image.width + crop.left) * channels;
    Middle<T>* out = s.middle.data() + y * stride;
    if (crop.width == width) copy_row(in, out, width, channels, crop.flip);
    else if (channels == 1) filter_row<1>(in, out, s.across, width, 1, crop.flip);
    else if (channels == 3) filter_row<3>(in, out, s.across, width, 3, crop.flip);
    else filter_row<0>(in, out, s.across, width, channels, crop.flip);
  }
}

/// sums += weight * in, the loop that the columns' pass spends its time in.
template <class M, class W>
void accumulate(const M* in, W weight, W* sums, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += weight * static_cast<W>(in[i]);
}

template <class T>
void pass_down(int height, std::size_t stride, Scratch<T>& s, T* out) {
  using W = Weight<T>;
  constexpr W half = std::is_floating_point_v<W> ? W{0} : static_cast<W>(1 << (fraction_bits - 1));
  s.sums.resize(stride);
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    std::fill(s.sums.begin(), s.sums.end(), half);
    for (int k = 0; k < s.down.count[y]; ++k) {
      const auto row = static_cast<std::size_t>(s.down.first[y] + k);
      accumulate(s.middle.data() + row * stride,
                 s.down.weights[y * static_cast<std::size_t>(s.down.taps) + static_cast<std::size_t>(k)], s.sums.data(),
                 stride);
    }
    for (std::size_t i = 0; i < stride; ++i) out[y * stride + i] = finish<T, W>(s.sums[i]);
  }
}

template <class T>
void resample_as(const Image& image, const Crop& crop, int height, int width, T* out) {
  thread_local Scratch<T> s;  // the same sizes come again and again: no allocation an image
  const std::size_t stride = static_cast<std::size_t>(width) * static_cast<std::size_t>(image.channels);
  s.middle.resize(static_cast<std::size_t>(crop.height) * stride);
  if (crop.width != width) s.across.set(crop.width, width);
  pass_across<T>(image, crop, width, s);
  if (crop.height == height) {
    std::transform(s.middle.begin(), s.middle.end(), out, [](Middle<T> v) {
      if constexpr (std::is_same_v<T, Middle<T>>) return v;
      else return finish<T, Weight<T>>(v);
    });
    return;
  }
  s.down.set(crop.height, height);
  pass_down<T>(height, stride, s, out);
}

}  // namespace

void resample(const Image& image, const Crop& crop, int height, int width, std::byte* out) {
  with_pixels(image,
              [&]<class T>(std::span<const T>) { resample_as(image, crop, height, width, reinterpret_cast<T*>(out)); });
}

}  // namespace mae
