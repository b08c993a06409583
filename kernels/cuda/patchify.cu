// Patchify and unpatchify on CUDA, patches in f32 and bf16.
//
// Both: one thread a pack of N values of a patch, all packs of all patches in a row, 256 threads a block.
// Patches are moved in packs of 4 values where their rows allow (14 x 14 pixels of 3 channels are 147 packs), images
// value by value: what is side by side in a patch is side by side, or C values apart, in its image too, so that a warp
// touches few lines, and the caches keep them for the other values.
// Bytes: read one side, write the other: the least possible.
#include <algorithm>
#include <limits>

#include "kernels/cuda/common.cuh"
#include "kernels/tokens.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;  // of a block
constexpr int widest_pack = 4;

// How patches are cut from images. The rows of pixels of the whole batch are one tall image: no patch crosses from one
// sample to the next, because P divides the height. The values of a patch have three indices, the last one fastest:
// (y, x, c), or (c, y, x) where the channel is slowest. What is small is unsigned: the cheapest to divide.
struct Cut {
  long long values;                  // of all patches
  long long across;                  // patches side by side
  long long down_step, across_step;  // elements of the image from a patch to the one below, and to the one beside it
  unsigned patch_values;             // P P C
  unsigned sizes[3];                 // of a patch's indices
  unsigned steps[3];                 // elements of the image from one value to the next of each index
  bool channel_last;
};

// A value of a patch.
struct Place {
  long long patch, corner;  // corner: where the patch's first pixel stands in the image
  unsigned first;           // the value, counted in its patch
  unsigned at[3];           // the same as indices

  __device__ Place(const Cut& cut, long long value) : patch(value / cut.patch_values) {
    corner = patch / cut.across * cut.down_step + patch % cut.across * cut.across_step;
    first = static_cast<unsigned>(value % cut.patch_values);
    at[2] = first % cut.sizes[2];
    at[1] = first / cut.sizes[2] % cut.sizes[1];
    at[0] = first / cut.sizes[2] / cut.sizes[1];
  }
  __device__ unsigned channel(const Cut& cut) const { return cut.channel_last ? at[2] : at[0]; }
  __device__ long long in_image(const Cut& cut) const {
    long long sum = corner;
#pragma unroll
    for (int d = 0; d < 3; ++d) sum += static_cast<long long>(at[d]) * cut.steps[d];
    return sum;
  }
  __device__ void next(const Cut& cut) {
    if (++at[2] < cut.sizes[2]) return;
    at[2] = 0;
    if (++at[1] < cut.sizes[1]) return;
    at[1] = 0;
    ++at[0];
  }
};

template <class Pixel, class T, int N>
__global__ void __launch_bounds__(threads) patchify_kernel(Cut cut, const Pixel* images, const float* scale,
                                                           const float* shift, T* patches, long long stride) {
  const long long value = (static_cast<long long>(blockIdx.x) * threads + threadIdx.x) * N;
  if (value >= cut.values) return;
  Place place(cut, value);
  T* to = patches + place.patch * stride + place.first;
  float out[N];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const unsigned c = place.channel(cut);
    out[i] = static_cast<float>(images[place.in_image(cut)]) * scale[c] + shift[c];
    place.next(cut);
  }
  store<T, N>(to, out);
}

template <class T, int N>
__global__ void __launch_bounds__(threads) unpatchify_kernel(Cut cut, const T* patches, long long stride, T* images) {
  const long long value = (static_cast<long long>(blockIdx.x) * threads + threadIdx.x) * N;
  if (value >= cut.values) return;
  Place place(cut, value);
  float in[N];
  load<T, N>(patches + place.patch * stride + place.first, in);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    images[place.in_image(cut)] = T(in[i]);
    place.next(cut);
  }
}

template <class Args>
Cut cut_of(const Args& a) {
  const long long pixel = a.images.row_stride, row = a.images.shape[2] * pixel;
  const auto P = static_cast<unsigned>(a.patch), C = static_cast<unsigned>(a.images.cols());
  Cut cut{.values = a.patches.shape.count(),
          .across = a.images.shape[2] / P,
          .down_step = P * row,
          .across_step = P * pixel,
          .patch_values = static_cast<unsigned>(a.patches.cols()),
          .sizes = {P, P, C},
          .steps = {static_cast<unsigned>(row), static_cast<unsigned>(pixel), 1},
          .channel_last = a.order == PatchOrder::row_column_channel};
  if (!cut.channel_last) {
    std::rotate(cut.sizes, cut.sizes + 2, cut.sizes + 3);
    std::rotate(cut.steps, cut.steps + 2, cut.steps + 3);
  }
  return cut;
}

template <class Pixel, class T>
void patchify_typed(Stream& stream, const Patchify& a) {
  const bool wide = packs(a.patches, widest_pack);
  const auto kernel = wide ? patchify_kernel<Pixel, T, widest_pack> : patchify_kernel<Pixel, T, 1>;
  const Cut cut = cut_of(a);
  run_kernel(stream, {blocks_for(cut.values, threads * (wide ? widest_pack : 1)), threads}, kernel, cut,
             a.images.as<const Pixel>(), a.scale.as<const float>(), a.shift.as<const float>(), a.patches.as<T>(),
             a.patches.row_stride);
}

void patchify(Stream& stream, const Patchify& a, void*) {
  visit(a.patches.dtype, [&]<class T>(T) {
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) { patchify_typed<Pixel, T>(stream, a); });
  });
}

void unpatchify(Stream& stream, const Unpatchify& a, void*) {
  visit(a.patches.dtype, [&]<class T>(T) {
    const bool wide = packs(a.patches, widest_pack);
    const auto kernel = wide ? unpatchify_kernel<T, widest_pack> : unpatchify_kernel<T, 1>;
    const Cut cut = cut_of(a);
    run_kernel(stream, {blocks_for(cut.values, threads * (wide ? widest_pack : 1)), threads}, kernel, cut,
               a.patches.as<const T>(), a.patches.row_stride, a.images.as<T>());
  });
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (const char* reason = not_f32_or_bf16(a.patches)) return reason;
  constexpr std::int64_t most = std::numeric_limits<unsigned>::max();
  const bool fits = a.patches.cols() <= most && a.images.shape[2] * a.images.row_stride <= most;
  return fits ? nullptr : "a patch, or a row of pixels, of more than 2^32 - 1 values";
}

constexpr Variant<Patchify> patchify_rows[] = {{.name = "packs", .refuses = refuses<Patchify>, .run = patchify}};
constexpr Variant<Unpatchify> unpatchify_rows[] = {
    {.name = "packs", .refuses = refuses<Unpatchify>, .run = unpatchify}};

}  // namespace

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<Patchify> Patchify::MAE_GPU{MAE_GPU::patchify_rows};
const Rows<Unpatchify> Unpatchify::MAE_GPU{MAE_GPU::unpatchify_rows};
}  // namespace kernels
