// Crop, resize, flip and normalise on CUDA, from pixels of u8, u16 and f32.
//
// filters   one thread an output column or row of an image, 256 a block: its window, and its weights, made in f64.
// across    one thread a value (x, c) of 4 rows of a box, 256 values a block: a weight is loaded once for 4 rows. The
//           lanes of a warp write neighbouring values, and read what a few neighbouring pixels of each row are.
// down      one thread a pack of 4 values of an output row where rows allow: the lanes of a warp read 128 neighbouring
//           bytes of u8 a row of the window, and share one weight. Finishes and normalises.
//
// Every sum is one thread's, in the order of k, and this file is compiled without fused multiply-adds (CMakeLists.txt):
// the CPU's bits.
// Bytes: read the box, write out: the least possible; beside that the middle, box height x width x C, is written and
// read once: bytes for u8, else floats. What is read again, by windows that overlap, comes from L1 and L2.
#include <algorithm>
#include <limits>

#include "kernels/augment.h"
#include "kernels/cuda/common.cuh"
#include "kernels/resample_filter.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;  // of a block
constexpr int rows = 4;       // of a box, of one thread of across
constexpr int widest_pack = 4;

// Everything but the output.
template <class T>
struct Batch {
  const T* pixels;
  const CropBox* boxes;
  FilterMiddle<T>* middle;   // (B, longest, width, C)
  FilterWeight<T>* weights;  // of an image: (taps across, width), then (taps down, height)
  FilterWindow* windows;     // (B, width + height)
  long long middle_an_image, weights_an_image, weights_across;
  unsigned width, height, channels, stride;  // stride = width * channels

  __device__ FilterMiddle<T>* middle_of(unsigned b) const { return middle + b * middle_an_image; }
  __device__ FilterWeight<T>* across(unsigned b) const { return weights + b * weights_an_image; }
  __device__ FilterWeight<T>* down(unsigned b) const { return across(b) + weights_across; }
  __device__ FilterWindow* windows_of(unsigned b) const {
    return windows + static_cast<long long>(b) * (width + height);
  }
};

template <class T>
__global__ void __launch_bounds__(threads) filters_kernel(Batch<T> a, unsigned blocks_an_image) {
  const unsigned b = blockIdx.x / blocks_an_image, i = blockIdx.x % blocks_an_image * threads + threadIdx.x;
  if (i >= a.width + a.height) return;
  const bool is_row = i >= a.width;
  const int in = is_row ? a.boxes[b].box_height : a.boxes[b].box_width;
  const unsigned size = is_row ? a.height : a.width, at = is_row ? i - a.width : i;
  FilterWeight<T>* weights = (is_row ? a.down(b) : a.across(b)) + at;
  a.windows_of(b)[i] = set_filter(in, static_cast<int>(size), static_cast<int>(at), weights, size);
}

template <class T>
__global__ void __launch_bounds__(threads) across_kernel(Batch<T> a, unsigned blocks_a_row, unsigned blocks_an_image) {
  using W = FilterWeight<T>;
  const unsigned b = blockIdx.x / blocks_an_image, block = blockIdx.x % blocks_an_image;
  const unsigned v = block % blocks_a_row * threads + threadIdx.x;
  const CropBox box = a.boxes[b];
  const int top = static_cast<int>(block / blocks_a_row) * rows;
  if (v >= a.stride || top >= box.box_height) return;
  const unsigned c = v % a.channels, to = v / a.channels, x = box.flip ? a.width - 1 - to : to;

  const T* from[rows];  // the last row again where the box has no more: loads without an if
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    const long long y = box.top + min(top + r, box.box_height - 1);
    from[r] = a.pixels + (box.offset + y * box.width + box.left) * a.channels + c;
  }
  FilterMiddle<T> out[rows];
  if (box.box_width == static_cast<int>(a.width)) {
#pragma unroll
    for (int r = 0; r < rows; ++r) out[r] = from[r][static_cast<long long>(x) * a.channels];
  } else {
    const FilterWindow window = a.windows_of(b)[x];
    const W* weights = a.across(b) + x;
    W sums[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r) sums[r] = filter_start<W>();
    for (int k = 0; k < window.count; ++k) {
      const W weight = weights[static_cast<long long>(k) * a.width];
      const long long pixel = static_cast<long long>(window.first + k) * a.channels;
#pragma unroll
      for (int r = 0; r < rows; ++r) sums[r] += weight * static_cast<W>(from[r][pixel]);
    }
#pragma unroll
    for (int r = 0; r < rows; ++r) out[r] = filter_finish<FilterMiddle<T>>(sums[r]);
  }
  FilterMiddle<T>* middle = a.middle_of(b) + static_cast<long long>(top) * a.stride + v;
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (top + r < box.box_height) middle[static_cast<long long>(r) * a.stride] = out[r];
  }
}

// N values of row y of an image, from column v on, as pixels have them.
template <class T, int N>
__device__ void down_values(const Batch<T>& a, unsigned b, unsigned y, unsigned v, T (&values)[N]) {
  using W = FilterWeight<T>;
  using Middle = Pack<FilterMiddle<T>, N>;
  const auto row = [&](int r) {
    const FilterMiddle<T>* from = a.middle_of(b) + static_cast<long long>(r) * a.stride + v;
    require_aligned(from, sizeof(Middle));
    return *reinterpret_cast<const Middle*>(from);
  };
  if (a.boxes[b].box_height == static_cast<int>(a.height)) {
    const Middle copied = row(static_cast<int>(y));
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = filter_copy<T>(copied.at[i]);
    return;
  }
  const FilterWindow window = a.windows_of(b)[a.width + y];
  const W* weights = a.down(b) + y;
  W sums[N];
#pragma unroll
  for (int i = 0; i < N; ++i) sums[i] = filter_start<W>();
  for (int k = 0; k < window.count; ++k) {
    const W weight = weights[static_cast<long long>(k) * a.height];
    const Middle in = row(window.first + k);
#pragma unroll
    for (int i = 0; i < N; ++i) sums[i] += weight * static_cast<W>(in.at[i]);
  }
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = filter_finish<T>(sums[i]);
}

template <class T, class Out, int N>
__global__ void __launch_bounds__(threads)
    down_kernel(Batch<T> a, const float* scale, const float* shift, Out* out, unsigned blocks_an_image) {
  const unsigned b = blockIdx.x / blocks_an_image, i = blockIdx.x % blocks_an_image * threads + threadIdx.x;
  const unsigned packs_a_row = a.stride / N, y = i / packs_a_row, v = i % packs_a_row * N;
  if (y >= a.height) return;
  T values[N];
  down_values(a, b, y, v, values);
  float finished[N];  // holds u8 and u16 as they are
  unsigned c = v % a.channels;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    finished[j] = static_cast<float>(values[j]);
    if (scale) finished[j] = finished[j] * scale[c] + shift[c];
    c = c + 1 == a.channels ? 0 : c + 1;
  }
  store<Out, N>(out + (static_cast<long long>(b) * a.height + y) * a.stride + v, finished);
}

// Scratch: the middle first, so that packs of it are aligned, then weights, then windows.
template <class T>
struct Sizes {
  long long across, down, weights, windows, middle;  // elements of one image
  std::size_t middle_bytes, bytes;                   // of the batch

  explicit Sizes(const CropResize& a) {
    const std::int64_t height = a.out.shape[1], width = a.out.shape[2];
    const auto B = static_cast<std::size_t>(a.out.shape[0]);
    across = filter_taps(a.longest, width) * width;
    down = filter_taps(a.longest, height) * height;
    weights = across + down;
    windows = width + height;
    middle = a.longest * width * a.out.cols();
    middle_bytes = (B * static_cast<std::size_t>(middle) * sizeof(FilterMiddle<T>) + 15) / 16 * 16;
    bytes = middle_bytes + B * (static_cast<std::size_t>(weights) * sizeof(FilterWeight<T>) +
                                static_cast<std::size_t>(windows) * sizeof(FilterWindow));
  }
};

template <class T>
Batch<T> batch_of(const CropResize& a, void* scratch) {
  const Sizes<T> sizes(a);
  const long long B = a.out.shape[0];
  auto* weights = reinterpret_cast<FilterWeight<T>*>(static_cast<std::byte*>(scratch) + sizes.middle_bytes);
  return {.pixels = a.pixels.as<const T>(),
          .boxes = a.boxes.as<const CropBox>(),
          .middle = static_cast<FilterMiddle<T>*>(scratch),
          .weights = weights,
          .windows = reinterpret_cast<FilterWindow*>(weights + B * sizes.weights),
          .middle_an_image = sizes.middle,
          .weights_an_image = sizes.weights,
          .weights_across = sizes.across,
          .width = static_cast<unsigned>(a.out.shape[2]),
          .height = static_cast<unsigned>(a.out.shape[1]),
          .channels = static_cast<unsigned>(a.out.cols()),
          .stride = static_cast<unsigned>(a.out.shape[2] * a.out.cols())};
}

template <class T, class Out>
void down(Stream& stream, const CropResize& a, const Batch<T>& batch) {
  const bool wide =
      batch.stride % widest_pack == 0 && reinterpret_cast<std::size_t>(a.out.data) % (widest_pack * sizeof(Out)) == 0;
  const long long packs = a.out.shape.count() / a.out.shape[0] / (wide ? widest_pack : 1);
  const unsigned B = static_cast<unsigned>(a.out.shape[0]), blocks = blocks_for(packs, threads);
  run_kernel(stream, {B * blocks, threads}, wide ? down_kernel<T, Out, widest_pack> : down_kernel<T, Out, 1>, batch,
             a.scale.as<const float>(), a.shift.as<const float>(), a.out.as<Out>(), blocks);
}

template <class T>
void passes(Stream& stream, const CropResize& a, void* scratch) {
  const Batch<T> batch = batch_of<T>(a, scratch);
  const unsigned B = static_cast<unsigned>(a.out.shape[0]), filters = blocks_for(batch.width + batch.height, threads);
  run_kernel(stream, {B * filters, threads}, filters_kernel<T>, batch, filters);
  const unsigned a_row = blocks_for(batch.stride, threads), an_image = a_row * blocks_for(a.longest, rows);
  run_kernel(stream, {B * an_image, threads}, across_kernel<T>, batch, a_row, an_image);
  if (a.out.dtype == DType::bf16) down<T, bf16>(stream, a, batch);
  else if (a.out.dtype == DType::f32) down<T, float>(stream, a, batch);
  else down<T, T>(stream, a, batch);
}

template <class F>
void visit_pixels(const CropResize& a, F&& f) {
  if (a.pixels.dtype == DType::u8) f(std::uint8_t{});
  if (a.pixels.dtype == DType::u16) f(std::uint16_t{});
  if (a.pixels.dtype == DType::f32) f(float{});
}

void run(Stream& stream, const CropResize& a, void* scratch) {
  visit_pixels(a, [&]<class T>(T) { passes<T>(stream, a, scratch); });
}

std::size_t workspace(const Device&, const CropResize& a) {
  std::size_t bytes = 0;
  visit_pixels(a, [&]<class T>(T) { bytes = Sizes<T>(a).bytes; });
  return bytes;
}

const char* refuses(const Device&, const CropResize& a) {
  if (a.pixels.dtype == DType::f64 || a.out.dtype == DType::f64) return "this row has no f64";
  const double values = static_cast<double>(a.out.shape.count()) / a.out.shape[1] *
                        static_cast<double>(std::max(a.out.shape[1], a.longest));
  const bool fits = values < std::numeric_limits<std::int32_t>::max();
  return fits ? nullptr : "a batch, with the rows of its longest box, of more than 2^31 - 1 values";
}

}  // namespace

const Variant<CropResize> rows_of_crop_resize[] = {
    {.name = "passes", .refuses = refuses, .workspace = workspace, .run = run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<CropResize> CropResize::MAE_GPU{MAE_GPU::rows_of_crop_resize};
}  // namespace kernels
