#include "kernels/cpu/resample.h"

#include <algorithm>

#include "kernels/cpu/simd.h"
#include "kernels/resample_filter.h"

namespace kernels::cpu {
namespace {

constexpr int rows_at_once = 16;  // of a box are turned, so that a vector has one value of each

/// What one image needs beside its pixels: the widest elements stand first, so that all are aligned.
template <class T>
struct Scratch {
  using W = FilterWeight<T>;

  Scratch(void* memory, const Resized& size, std::int64_t longest)
      : stride(size.width * size.channels), taps(filter_taps(longest, size.width)) {
    across = static_cast<W*>(memory);
    down = across + size.width * taps;
    windows = reinterpret_cast<FilterWindow*>(down + filter_taps(longest, size.height));
    middle = reinterpret_cast<FilterMiddle<T>*>(windows + size.width);
    turned = reinterpret_cast<T*>(middle + longest * stride);
  }

  std::int64_t stride;      // values of a row
  std::int64_t taps;        // of the filter of rows
  W* across;                // (width, taps)
  W* down;                  // weights of one output row
  FilterWindow* windows;    // (width)
  FilterMiddle<T>* middle;  // (box height, width, channels)
  T* turned;                // (box width, channels, rows_at_once)
};

/// rows_at_once rows of `count` values each, `stride` apart, of which `rows` exist, as (count, rows_at_once); the last
/// row stands for those that do not.
template <class T>
[[gnu::always_inline]] inline void turn_rows(const T* in, std::int64_t stride, int rows, std::int64_t count, T* out) {
  const T* from[rows_at_once];
  for (int r = 0; r < rows_at_once; ++r) from[r] = in + std::min(r, rows - 1) * stride;
  for (std::int64_t i = 0; i < count; ++i) {
    for (int r = 0; r < rows_at_once; ++r) out[i * rows_at_once + r] = from[r][i];
  }
}

/// `width` outputs in each of `rows` rows, whose turned inputs stand in s.turned.
template <class T>
[[gnu::always_inline]] inline void filter_turned(const Scratch<T>& s, int width, int channels, bool flip, int rows,
                                                 FilterMiddle<T>* out) {
  using W = FilterWeight<T>;
  for (int x = 0; x < width; ++x) {
    const W* weights = s.across + x * s.taps;
    const FilterWindow window = s.windows[x];
    const std::int64_t to = static_cast<std::int64_t>(flip ? width - 1 - x : x) * channels;
    for (int c = 0; c < channels; ++c) {
      const T* from = s.turned + (static_cast<std::int64_t>(window.first) * channels + c) * rows_at_once;
      W sums[rows_at_once];
      for (int r = 0; r < rows_at_once; ++r) sums[r] = filter_start<W>();
      for (int k = 0; k < window.count; ++k, from += channels * rows_at_once) {
        for (int r = 0; r < rows_at_once; ++r) sums[r] += weights[k] * static_cast<W>(from[r]);
      }
      FilterMiddle<T> values[rows_at_once];
      for (int r = 0; r < rows_at_once; ++r) values[r] = filter_finish<FilterMiddle<T>>(sums[r]);
      for (int r = 0; r < rows; ++r) out[r * s.stride + to + c] = values[r];
    }
  }
}

/// Rows [0, rows) of a box, `stride` values apart.
template <class T>
MAE_VECTOR void filter_rows(const T* in, std::int64_t stride, int rows, int box_width, int width, int channels,
                            bool flip, const Scratch<T>& s, FilterMiddle<T>* out) {
  turn_rows(in, stride, rows, static_cast<std::int64_t>(box_width) * channels, s.turned);
  filter_turned(s, width, channels, flip, rows, out);
}

/// A row whose width already fits.
template <class T>
void copy_row(const T* in, FilterMiddle<T>* out, int width, int channels, bool flip) {
  for (int x = 0; x < width; ++x) {
    const T* from = in + static_cast<std::ptrdiff_t>(flip ? width - 1 - x : x) * channels;
    std::copy_n(from, channels, out + static_cast<std::ptrdiff_t>(x) * channels);
  }
}

template <class T>
void pass_across(const T* pixels, const CropBox& box, int width, int channels, const Scratch<T>& s) {
  const bool flip = box.flip != 0;
  const T* in = pixels + (box.offset + static_cast<std::int64_t>(box.top) * box.width + box.left) * channels;
  const std::int64_t stride = static_cast<std::int64_t>(box.width) * channels;
  if (box.box_width == width) {
    for (std::int64_t y = 0; y < box.box_height; ++y)
      copy_row(in + y * stride, s.middle + y * s.stride, width, channels, flip);
    return;
  }
  for (int x = 0; x < width; ++x) s.windows[x] = set_filter(box.box_width, width, x, s.across + x * s.taps);
  for (int y = 0; y < box.box_height; y += rows_at_once)
    filter_rows(in + y * stride, stride, std::min(rows_at_once, box.box_height - y), box.box_width, width, channels,
                flip, s, s.middle + y * s.stride);
}

/// `count` outputs, each the sum of as many rows of `in` as there are weights: the loop that this pass spends its time
/// in. Sums of a few vectors at a time stay in the first-level cache.
template <class M, class W, class T>
MAE_VECTOR void filter_columns(const M* in, std::int64_t stride, const W* weights, int rows, T* out,
                               std::int64_t count) {
  constexpr std::int64_t block = 128;
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t n = std::min(block, count - begin);
    W sums[block];
    std::fill_n(sums, n, filter_start<W>());
    for (int k = 0; k < rows; ++k) {
      const M* from = in + k * stride + begin;
      for (std::int64_t i = 0; i < n; ++i) sums[i] += weights[k] * static_cast<W>(from[i]);
    }
    for (std::int64_t i = 0; i < n; ++i) out[begin + i] = filter_finish<T>(sums[i]);
  }
}

template <class T>
void pass_down(int box_height, int height, const Scratch<T>& s, T* out) {
  for (int y = 0; y < height; ++y) {
    const FilterWindow window = set_filter(box_height, height, y, s.down);
    filter_columns(s.middle + window.first * s.stride, s.stride, s.down, window.count, out + y * s.stride, s.stride);
  }
}

}  // namespace

template <class T>
std::size_t resample_scratch(const Resized& size, std::int64_t longest) {
  const std::int64_t taps = size.width * filter_taps(longest, size.width) + filter_taps(longest, size.height);
  const std::int64_t stride = size.width * size.channels;
  return static_cast<std::size_t>(taps) * sizeof(FilterWeight<T>) +
         static_cast<std::size_t>(size.width) * sizeof(FilterWindow) +
         static_cast<std::size_t>(longest * stride) * sizeof(FilterMiddle<T>) +
         static_cast<std::size_t>(longest * size.channels * rows_at_once) * sizeof(T);
}

template <class T>
void resample(const T* pixels, const CropBox& box, const Resized& size, T* out, void* scratch) {
  const Scratch<T> s(scratch, size, std::max(box.box_height, box.box_width));
  const int height = static_cast<int>(size.height), width = static_cast<int>(size.width);
  pass_across(pixels, box, width, static_cast<int>(size.channels), s);
  if (box.box_height != height) pass_down(box.box_height, height, s, out);
  else std::transform(s.middle, s.middle + height * s.stride, out, filter_copy<T>);
}

template std::size_t resample_scratch<std::uint8_t>(const Resized&, std::int64_t);
template std::size_t resample_scratch<std::uint16_t>(const Resized&, std::int64_t);
template std::size_t resample_scratch<float>(const Resized&, std::int64_t);
template std::size_t resample_scratch<double>(const Resized&, std::int64_t);
template void resample(const std::uint8_t*, const CropBox&, const Resized&, std::uint8_t*, void*);
template void resample(const std::uint16_t*, const CropBox&, const Resized&, std::uint16_t*, void*);
template void resample(const float*, const CropBox&, const Resized&, float*, void*);
template void resample(const double*, const CropBox&, const Resized&, double*, void*);

}  // namespace kernels::cpu
