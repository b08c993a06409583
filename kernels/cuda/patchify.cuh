// How kernels on CUDA read the pixels of a patch, scaled and shifted, in packs of N neighbouring values.
//
// Walk takes everything: pixel by pixel, with three indices. Rgb is for what MAE is trained on, three channels, the
// channel fastest, no gaps between pixels: G neighbouring values are one load, and a pack crosses into the patch's next
// line of pixels only between loads. Lines of 16 pixels are 48 values, so a pack of 8 is one load; lines of 14 are 42,
// so it is loads of 2.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/cuda/common.cuh"
#include "kernels/tokens.h"

namespace kernels::MAE_GPU {

// How patches are cut from images. The rows of pixels of the whole batch are one tall image: no patch crosses from one
// sample to the next, because P divides the height. All is unsigned, of 32 bits, the cheapest to divide.
struct Cut {
  unsigned across;                  // patches side by side
  unsigned down_step, across_step;  // elements of the image from a patch to the one below, and to the one beside it
  unsigned patch_values;            // P P C
  unsigned line, line_step;         // P C values of a patch's line of pixels; elements of the image to the next line
  unsigned sizes[3];                // of a patch's indices (y, x, c), or (c, y, x): the last one fastest
  unsigned steps[3];                // elements of the image from one value to the next of each index
  bool channel_last;

  /// Where the first pixel of a patch, counted in the whole batch, stands in the image.
  __device__ unsigned corner(unsigned patch) const {
    const unsigned down = patch / across;
    return down * down_step + (patch - down * across) * across_step;
  }
};

inline Cut cut_of(const View& images, int patch, PatchOrder order) {
  const auto pixel = static_cast<unsigned>(images.row_stride), row = static_cast<unsigned>(images.shape[2]) * pixel;
  const auto P = static_cast<unsigned>(patch), C = static_cast<unsigned>(images.cols());
  Cut cut{.across = static_cast<unsigned>(images.shape[2]) / P,
          .down_step = P * row,
          .across_step = P * pixel,
          .patch_values = P * P * C,
          .line = P * C,
          .line_step = row,
          .sizes = {P, P, C},
          .steps = {row, pixel, 1},
          .channel_last = order == PatchOrder::row_column_channel};
  if (!cut.channel_last) {
    std::rotate(cut.sizes, cut.sizes + 2, cut.sizes + 3);
    std::rotate(cut.steps, cut.steps + 2, cut.steps + 3);
  }
  return cut;
}

/// What rows that count in 32 bits refuse; null: nothing.
inline const char* more_than_31_bits(const View& images, const View& patches) {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  const bool fits = images.rows() * images.row_stride <= most && patches.shape.count() <= most;
  return fits ? nullptr : "this row has images and patches of at most 2^31 - 1 values";
}

/// A value of a patch, as indices.
struct PatchValue {
  unsigned at[3];

  __device__ PatchValue(const Cut& cut, unsigned value) {
    const unsigned rest = value / cut.sizes[2];
    at[2] = value - rest * cut.sizes[2];
    at[0] = rest / cut.sizes[1];
    at[1] = rest - at[0] * cut.sizes[1];
  }
  __device__ unsigned channel(const Cut& cut) const { return cut.channel_last ? at[2] : at[0]; }
  __device__ unsigned in_image(const Cut& cut) const {  // from the patch's corner
    return at[0] * cut.steps[0] + at[1] * cut.steps[1] + at[2] * cut.steps[2];
  }
  __device__ void next(const Cut& cut) {
    if (++at[2] < cut.sizes[2]) return;
    at[2] = 0;
    if (++at[1] < cut.sizes[1]) return;
    at[1] = 0;
    ++at[0];
  }
};

struct Walk {
  const float *scale, *shift;

  __device__ Walk(const float* scale_of, const float* shift_of) : scale(scale_of), shift(shift_of) {}

  /// The values first, first + 1, ... of the patch whose first pixel is at `corner`.
  template <int N, class Pixel>
  __device__ void read(const Cut& cut, const Pixel* corner, unsigned first, float (&out)[N]) const {
    PatchValue at(cut, first);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const unsigned c = at.channel(cut);
      out[i] = static_cast<float>(corner[at.in_image(cut)]) * scale[c] + shift[c];
      at.next(cut);
    }
  }
};

template <int G>
struct Rgb {
  float scale[3], shift[3];

  __device__ Rgb(const float* scale_of, const float* shift_of)
      : scale{scale_of[0], scale_of[1], scale_of[2]}, shift{shift_of[0], shift_of[1], shift_of[2]} {}

  template <int N, class Pixel>
  __device__ void read(const Cut& cut, const Pixel* corner, unsigned first, float (&out)[N]) const {
    unsigned y = first / cut.line, x = first - y * cut.line;
#pragma unroll
    for (int i = 0; i < N; i += G) {
      float values[G];
      load<Pixel, G>(corner + (y * cut.line_step + x), values);
#pragma unroll
      for (int j = 0; j < G; ++j) out[i + j] = values[j];
      x += G;
      if (N > G && x == cut.line) x = 0, ++y;
    }
    // value i is of channel (first + i) % 3: the constants are turned once, and then taken in their order
    const unsigned c = first % 3;
    const float s[3] = {turned(scale, c), turned(scale, c + 1), turned(scale, c + 2)};
    const float b[3] = {turned(shift, c), turned(shift, c + 1), turned(shift, c + 2)};
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = out[i] * s[i % 3] + b[i % 3];
  }

 private:
  __device__ static float turned(const float (&x)[3], unsigned c) {  // x[c % 3] for c up to 4, without an address
    return c == 0 || c == 3 ? x[0] : c == 1 || c == 4 ? x[1] : x[2];
  }
};

/// True when Rgb<G> can read patches of these images.
template <class Pixel>
bool rgb_takes(int G, const View& images, int patch, PatchOrder order) {
  return order == PatchOrder::row_column_channel && images.cols() == 3 && images.contiguous() && patch * 3 % G == 0 &&
         reinterpret_cast<std::size_t>(images.data) % (static_cast<std::size_t>(G) * sizeof(Pixel)) == 0;
}

/// f.operator()<N, Way>(): the widest packs of T in which rows of all `moved` can be moved, and how to read pixels for
/// them. a: Patchify or PixelLoss.
template <class Pixel, class T, class Args, class F, class... Views>
void with_way(const Args& a, F&& f, const Views&... moved) {
  const auto all = [&](int N) { return (packs(moved, N) && ...); };
  if constexpr (!std::is_same_v<Pixel, double>) {
    const auto rgb = [&](int G) { return rgb_takes<Pixel>(G, a.images, a.patch, a.order); };
    if (all(widest<T>) && rgb(widest<T>)) return f.template operator()<widest<T>, Rgb<widest<T>>>();
    if (all(4) && rgb(2)) return f.template operator()<4, Rgb<2>>();
  }
  if (all(4)) return f.template operator()<4, Walk>();
  f.template operator()<1, Walk>();
}

}  // namespace kernels::MAE_GPU
