// Normalise, erase and mix on CUDA, f32.
//
// One thread the 4 neighbouring values of an image that one Philox block has noise for; blocks of 256 threads, each
// within one image, so that boxes, lambda and the partner are the same for all of its threads. A value of the partner
// is read where it counts alone: not where lambda is 1, nor outside a cut box. out is written in packs of 16 bytes
// where it has no gaps, else value by value; pixels are read one by one, a warp's 128 of them side by side. Bytes: read
// images, once for each sample and, mixed, once more for its partner, which the L2 cache of a GPU mostly still has;
// write out. The least is each once.
#include "kernels/cuda/common.cuh"
#include "kernels/mix_images.h"
#include "kernels/mix_noise.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256, values = 4;

template <class Pixel>
struct Pointers {
  Matrix<const Pixel> images;    // (B H W, C)
  const float *scale, *shift;    // (C)
  const MixBoxes* boxes;         // (B)
  const double* lambda;          // (B)
  Matrix<const unsigned> draws;  // (B, 2)
  Matrix<float> out;             // (B H W, C)
  int W, C, group;
  unsigned each, blocks_a_sample, seed;  // each: values of an image, H W C
};

/// The values of a thread: where the first one is, and how to go on.
struct Place {
  int y, x, c;

  template <class P>
  __device__ Place(const P& a, unsigned element) {
    const unsigned pixel = element / a.C;
    c = static_cast<int>(element - pixel * a.C);
    y = static_cast<int>(pixel / a.W);
    x = static_cast<int>(pixel - static_cast<unsigned>(y) * a.W);
  }
  template <class P>
  __device__ void next(const P& a) {
    if (++c < a.C) return;
    c = 0;
    if (++x < a.W) return;
    x = 0;
    ++y;
  }
  __device__ bool in(const MixBox& box) const { return box.has(y, x); }
};

/// value(b) of the elements first to first + 3, of `count` of them that there are.
template <class Pixel>
__device__ void read(const Pointers<Pixel>& a, long long b, unsigned first, int count, float (&to)[values]) {
  const MixBox box = a.boxes[b].erase;
  const long long corner = b * (a.each / a.C);
  bool erased[values], any = false;
  Place at(a, first);
#pragma unroll
  for (int i = 0; i < values; ++i) {
    erased[i] = at.in(box);
    any = any || erased[i];
    to[i] = 0;
    if (i < count && !erased[i]) {
      const float pixel = static_cast<float>(a.images[corner + static_cast<long long>(at.y) * a.W + at.x][at.c]);
      to[i] = pixel * a.scale[at.c] + a.shift[at.c];
    }
    at.next(a);
  }
  if (!any) return;
  const PhiloxWords words = noise_words(first / values, a.draws[b][0], a.draws[b][1], a.seed);
#pragma unroll
  for (int i = 0; i < values; i += 2) {
    const NormalPair<float> pair = normal_pair<float>(words.w[i], words.w[i + 1]);
    if (erased[i]) to[i] = pair.even;
    if (erased[i + 1]) to[i + 1] = pair.odd;
  }
}

template <class Pixel, bool wide>
__global__ void __launch_bounds__(threads) mix_kernel(Pointers<Pixel> a) {
  const long long b = blockIdx.x / a.blocks_a_sample, p = mix_partner(b, a.group);
  const unsigned first = (blockIdx.x % a.blocks_a_sample * threads + threadIdx.x) * values;
  if (first >= a.each) return;
  const int count = static_cast<int>(min(a.each - first, static_cast<unsigned>(values)));
  const MixBox box = a.boxes[b].cut;
  const bool cut = !box.empty();
  const double lambda = cut ? 0 : a.lambda[b];
  float own[values], partner[values] = {};
  read(a, b, first, count, own);
  bool wanted = !cut && lambda != 1;
  Place at(a, first);
  for (int i = 0; cut && i < values; ++i, at.next(a)) wanted = wanted || at.in(box);
  if (wanted) read(a, p, first, count, partner);
  at = Place(a, first);
  const long long corner = b * (a.each / a.C);
#pragma unroll
  for (int i = 0; i < values; ++i) {
    if (cut) own[i] = at.in(box) ? partner[i] : own[i];
    else if (lambda != 1) own[i] = static_cast<float>(lambda) * own[i] + static_cast<float>(1 - lambda) * partner[i];
    if (!wide && i < count) a.out[corner + static_cast<long long>(at.y) * a.W + at.x][at.c] = own[i];
    at.next(a);
  }
  if (wide) store<float, values>(a.out.data + b * a.each + first, own);
}

template <class Pixel>
void mix_typed(Stream& stream, const MixImages& a) {
  const auto each = static_cast<unsigned>(a.images.shape.count() / a.images.shape[0]);
  const Pointers<Pixel> p{.images = matrix<const Pixel>(a.images),
                          .scale = a.scale.as<float>(),
                          .shift = a.shift.as<float>(),
                          .boxes = a.boxes.as<MixBoxes>(),
                          .lambda = a.lambda.as<double>(),
                          .draws = matrix<const unsigned>(a.draws),
                          .out = matrix<float>(a.out),
                          .W = static_cast<int>(a.images.shape[2]),
                          .C = static_cast<int>(a.images.cols()),
                          .group = a.group,
                          .each = each,
                          .blocks_a_sample = blocks_for(each, threads * values),
                          .seed = a.seed};
  const bool wide =
      a.out.contiguous() && each % values == 0 && reinterpret_cast<std::size_t>(a.out.data) % (4 * values) == 0;
  run_kernel(stream, {static_cast<unsigned>(a.images.shape[0]) * p.blocks_a_sample, threads},
             wide ? mix_kernel<Pixel, true> : mix_kernel<Pixel, false>, p);
}

void mix(Stream& stream, const MixImages& a, void*) {
  visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) { mix_typed<Pixel>(stream, a); });
}

const char* not_f32(const Device&, const MixImages& a) {
  return a.out.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

}  // namespace

const Variant<MixImages> mix_rows[] = {{.name = "packs", .refuses = not_f32, .run = mix}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<MixImages> MixImages::MAE_GPU{MAE_GPU::mix_rows};
}  // namespace kernels
