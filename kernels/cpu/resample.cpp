#include "kernels/cpu/resample.h"

#include <algorithm>

#include "kernels/resample_filter.h"

namespace kernels::cpu {
namespace {

/// What one image needs beside its pixels: the widest elements stand first, so that all are aligned.
template <class T>
struct Scratch {
  using W = FilterWeight<T>;

  Scratch(void* memory, const Resized& size, std::int64_t longest)
      : stride(size.width * size.channels), taps(filter_taps(longest, size.width)) {
    across = static_cast<W*>(memory);
    down = across + size.width * taps;
    sums = down + filter_taps(longest, size.height);
    windows = reinterpret_cast<FilterWindow*>(sums + stride);
    middle = reinterpret_cast<FilterMiddle<T>*>(windows + size.width);
  }

  std::int64_t stride;      // values of a row
  std::int64_t taps;        // of the filter of rows
  W* across;                // (width, taps)
  W* down;                  // weights of one output row
  W* sums;                  // (width, channels)
  FilterWindow* windows;    // (width)
  FilterMiddle<T>* middle;  // (box height, width, channels)
};

/// One pixel row of `width` outputs. C: channels, 0 where only known at run time.
template <int C, class T>
void filter_row(const T* in, FilterMiddle<T>* out, const Scratch<T>& s, int width, int channels, bool flip) {
  using W = FilterWeight<T>;
  const int c_count = C > 0 ? C : channels;
  for (int x = 0; x < width; ++x) {
    const W* weights = s.across + x * s.taps;
    const T* from = in + static_cast<std::ptrdiff_t>(s.windows[x].first) * c_count;
    const int count = s.windows[x].count;
    FilterMiddle<T>* to = out + static_cast<std::ptrdiff_t>(flip ? width - 1 - x : x) * c_count;
    if constexpr (C > 0) {
      W sums[C];
      std::fill_n(sums, C, filter_start<W>());
      for (int k = 0; k < count; ++k) {
        for (int c = 0; c < C; ++c) sums[c] += weights[k] * static_cast<W>(from[k * C + c]);
      }
      for (int c = 0; c < C; ++c) to[c] = filter_finish<FilterMiddle<T>>(sums[c]);
    } else {
      for (int c = 0; c < c_count; ++c) {
        W sum = filter_start<W>();
        for (int k = 0; k < count; ++k) sum += weights[k] * static_cast<W>(from[k * c_count + c]);
        to[c] = filter_finish<FilterMiddle<T>>(sum);
      }
    }
  }
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
  if (box.box_width != width) {
    for (int x = 0; x < width; ++x) s.windows[x] = set_filter(box.box_width, width, x, s.across + x * s.taps);
  }
  for (std::int64_t y = 0; y < box.box_height; ++y) {
    const T* in = pixels + (box.offset + (box.top + y) * box.width + box.left) * channels;
    FilterMiddle<T>* out = s.middle + y * s.stride;
    if (box.box_width == width) copy_row(in, out, width, channels, flip);
    else if (channels == 1) filter_row<1>(in, out, s, width, 1, flip);
    else if (channels == 3) filter_row<3>(in, out, s, width, 3, flip);
    else filter_row<0>(in, out, s, width, channels, flip);
  }
}

/// sums += weight * in, the loop that the columns' pass spends its time in.
template <class M, class W>
void accumulate(const M* in, W weight, W* sums, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += weight * static_cast<W>(in[i]);
}

template <class T>
void pass_down(int box_height, int height, const Scratch<T>& s, T* out) {
  using W = FilterWeight<T>;
  for (int y = 0; y < height; ++y) {
    const FilterWindow window = set_filter(box_height, height, y, s.down);
    std::fill_n(s.sums, s.stride, filter_start<W>());
    for (int k = 0; k < window.count; ++k) {
      accumulate(s.middle + (window.first + k) * s.stride, s.down[k], s.sums, s.stride);
    }
    std::transform(s.sums, s.sums + s.stride, out + y * s.stride, filter_finish<T, W>);
  }
}

}  // namespace

template <class T>
std::size_t resample_scratch(const Resized& size, std::int64_t longest) {
  const std::int64_t taps = size.width * filter_taps(longest, size.width) + filter_taps(longest, size.height);
  const std::int64_t stride = size.width * size.channels;
  return static_cast<std::size_t>(taps + stride) * sizeof(FilterWeight<T>) +
         static_cast<std::size_t>(size.width) * sizeof(FilterWindow) +
         static_cast<std::size_t>(longest * stride) * sizeof(FilterMiddle<T>);
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
