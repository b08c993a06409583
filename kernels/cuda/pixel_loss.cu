// The loss on pixels on CUDA: target, squared error and gradient in one pass, predictions in f32 and bf16.
//
// Both rows: one warp a prediction, 8 predictions a block of 256 threads. A lane owns packs of N values of the patch,
// 32 N apart: it reads its pixels from the image (patchify.cuh), scales them, and has its share of the target. A block
// adds up its errors into one partial sum; one more block adds those up in a fixed order (loss.cu). Shared memory: 8
// floats. The same as: patchify; for each masked patch its mean, its variance by deviations, its error and gradient.
//
// warp  patches of at most 768 values, 24 a lane: target and prediction stay in registers, so pixels and prediction are
//       read once, and all loads are under way before the first sum waits for its own.
// loop  patches of any size: pixels are read again for the variance and for the error, from L1.
//
// Bytes: read ids, pred, and the pixels of its patches; write dpred, and 8 bytes a block: the least possible but for
// the last.
#include "kernels/cuda/loss.cuh"
#include "kernels/cuda/patchify.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int warps = 8;
constexpr int threads = 32 * warps;
constexpr int held = 24;  // values of a lane in the row `warp`
// of the row `warp`, which leaves 64 registers a thread; the indices of Walk need more
template <class Way>
constexpr int blocks_a_multiprocessor = std::is_same_v<Way, Walk> ? 2 : 4;

template <class Pixel, class T>
struct Pointers {
  const Pixel* images;
  const float *scale, *shift;
  Matrix<const T> pred;
  Matrix<const std::int32_t> ids;
  Matrix<T> dpred;         // null: not wanted
  unsigned patches, M, L;  // patches = B M
  float eps, twice_factor;
  bool normalized;

  /// The first pixel of the patch that a prediction is for.
  __device__ const Pixel* corner(const Cut& cut, unsigned patch) const {
    const unsigned b = patch / M;
    return images + cut.corner(b * L + static_cast<unsigned>(ids[b][patch - b * M]));
  }
};

template <class T, int N>
__device__ Pack<T, N> pack_at(const T* from) {
  require_aligned(from, sizeof(Pack<T, N>));
  return *reinterpret_cast<const Pack<T, N>*>(from);
}

// The squared error of a pack, which is replaced by its gradient.
template <int N>
__device__ float error_and_gradient(float (&x)[N], const float (&t)[N], Spread s, float twice_factor) {
  float error = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float difference = x[i] - (t[i] - s.mean) * s.rstd;
    error += difference * difference;
    x[i] = twice_factor * difference;
  }
  return error;
}

template <int N>
__device__ float sum_of(const float (&x)[N]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += x[i];
  return sum;
}

template <int N>
__device__ float deviations(const float (&x)[N], float mean) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

__device__ inline float rstd_of(float lane_sum, unsigned values, float eps) {
  return 1.0f / sqrtf(warp_sum(lane_sum) / static_cast<float>(values - 1) + eps);
}

// The lane's share of the error of a prediction; writes its gradient.
template <class Pixel, class T, int N, class Way>
__device__ float error_in_registers(const Cut& cut, const Pointers<Pixel, T>& a, unsigned patch, unsigned lane) {
  constexpr int count = held / N;
  const unsigned values = cut.patch_values;
  Pack<T, N> pred[count];  // loaded before the id is waited for, which pixels cannot be found without
#pragma unroll
  for (int j = 0; j < count; ++j) {
    const unsigned first = (lane + lanes * j) * N;
    if (first < values) pred[j] = pack_at<T, N>(a.pred[patch] + first);
  }
  const Pixel* corner = a.corner(cut, patch);
  const Way way(a.scale, a.shift);
  float t[count][N] = {};
#pragma unroll
  for (int j = 0; j < count; ++j) {
    const unsigned first = (lane + lanes * j) * N;
    if (first < values) way.template read<N>(cut, corner, first, t[j]);
  }
  Spread s;
  if (a.normalized) {
    float sum = 0, squares = 0;
#pragma unroll
    for (int j = 0; j < count; ++j) sum += sum_of(t[j]);  // 0 where there are no values
    s.mean = warp_sum(sum) / static_cast<float>(values);
#pragma unroll
    for (int j = 0; j < count; ++j) {
      if ((lane + lanes * j) * N < values) squares += deviations(t[j], s.mean);
    }
    s.rstd = rstd_of(squares, values, a.eps);
  }
  float error = 0;
#pragma unroll
  for (int j = 0; j < count; ++j) {
    const unsigned first = (lane + lanes * j) * N;
    if (first >= values) continue;
    float x[N];
#pragma unroll
    for (int i = 0; i < N; ++i) x[i] = static_cast<float>(pred[j].at[i]);
    error += error_and_gradient(x, t[j], s, a.twice_factor);
    if (a.dpred.data) store<T, N>(a.dpred[patch] + first, x);
  }
  return error;
}

// The same for a patch of any size.
template <class Pixel, class T, int N, class Way>
__device__ float error_in_loops(const Cut& cut, const Pointers<Pixel, T>& a, unsigned patch, unsigned lane) {
  const Pixel* corner = a.corner(cut, patch);
  const Way way(a.scale, a.shift);
  const unsigned values = cut.patch_values;
  float t[N], x[N];
  Spread s;
  if (a.normalized) {
    float sum = 0, squares = 0;
    for (unsigned first = lane * N; first < values; first += lanes * N) {
      way.template read<N>(cut, corner, first, t);
      sum += sum_of(t);
    }
    s.mean = warp_sum(sum) / static_cast<float>(values);
    for (unsigned first = lane * N; first < values; first += lanes * N) {
      way.template read<N>(cut, corner, first, t);
      squares += deviations(t, s.mean);
    }
    s.rstd = rstd_of(squares, values, a.eps);
  }
  float error = 0;
  for (unsigned first = lane * N; first < values; first += lanes * N) {
    way.template read<N>(cut, corner, first, t);
    load<T, N>(a.pred[patch] + first, x);
    error += error_and_gradient(x, t, s, a.twice_factor);
    if (a.dpred.data) store<T, N>(a.dpred[patch] + first, x);
  }
  return error;
}

template <class Pixel, class T, int N, class Way>
__global__ void __launch_bounds__(threads, blocks_a_multiprocessor<Way>)
    warp_kernel(Cut cut, Pointers<Pixel, T> a, float* partial) {
  const unsigned patch = blockIdx.x * warps + threadIdx.x / lanes, lane = threadIdx.x % lanes;
  const float error = patch < a.patches ? error_in_registers<Pixel, T, N, Way>(cut, a, patch, lane) : 0.0f;
  const float sum = block_sum<threads, 0>(error);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Pixel, class T, int N, class Way>
__global__ void __launch_bounds__(threads) loop_kernel(Cut cut, Pointers<Pixel, T> a, float* partial) {
  const unsigned patch = blockIdx.x * warps + threadIdx.x / lanes, lane = threadIdx.x % lanes;
  const float error = patch < a.patches ? error_in_loops<Pixel, T, N, Way>(cut, a, patch, lane) : 0.0f;
  const float sum = block_sum<threads, 0>(error);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

enum class Values { in_registers, in_loops };

unsigned blocks_of(const PixelLoss& a) { return blocks_for(a.pred.rows(), warps); }

template <Values values, class Pixel, class T>
void run_typed(Stream& stream, const PixelLoss& a, float* partial) {
  const Cut cut = cut_of(a.images, a.patch, a.order);
  const Pointers<Pixel, T> p{.images = a.images.as<const Pixel>(),
                             .scale = a.scale.as<const float>(),
                             .shift = a.shift.as<const float>(),
                             .pred = matrix<const T>(a.pred),
                             .ids = matrix<const std::int32_t>(a.ids),
                             .dpred = matrix<T>(a.dpred),
                             .patches = static_cast<unsigned>(a.pred.rows()),
                             .M = static_cast<unsigned>(a.pred.shape[1]),
                             .L = static_cast<unsigned>(a.images.shape[1] / a.patch) * cut.across,
                             .eps = static_cast<float>(a.eps),
                             .twice_factor = static_cast<float>(2 * a.factor),
                             .normalized = a.pixels == PixelTarget::normalized};
  const auto run = [&]<int N, class Way>() {
    if constexpr (values == Values::in_registers)
      run_kernel(stream, {blocks_of(a), threads}, warp_kernel<Pixel, T, N, Way>, cut, p, partial);
    else run_kernel(stream, {blocks_of(a), threads}, loop_kernel<Pixel, T, N, Way>, cut, p, partial);
  };
  with_way<Pixel, T>(a, run, a.pred, a.dpred ? a.dpred : a.pred);
  add_up_loss(stream, partial, blocks_of(a), a.loss, a.factor, a.mode);
}

template <Values values>
void run(Stream& stream, const PixelLoss& a, void* scratch) {
  visit(a.pred.dtype, [&]<class T>(T) {
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
      if constexpr (values == Values::in_loops || !std::is_same_v<Pixel, double>)
        run_typed<values, Pixel, T>(stream, a, static_cast<float*>(scratch));
    });
  });
}

const char* refuses(const Device&, const PixelLoss& a) {
  const char* reason = not_f32_or_bf16(a.pred);
  return reason ? reason : more_than_31_bits(a.images, a.pred);
}

const char* warp_refuses(const Device& device, const PixelLoss& a) {
  if (a.pred.cols() > held * lanes) return "this row has patches of at most 768 values";
  if (a.images.dtype == DType::f64) return "this row has no pixels in f64";
  return refuses(device, a);
}

std::size_t workspace(const Device&, const PixelLoss& a) { return blocks_of(a) * sizeof(float); }

}  // namespace

const Variant<PixelLoss> rows[] = {
    {.name = "warp", .refuses = warp_refuses, .workspace = workspace, .run = run<Values::in_registers>},
    {.name = "loop", .refuses = refuses, .workspace = workspace, .run = run<Values::in_loops>},
};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<PixelLoss> PixelLoss::MAE_GPU{MAE_GPU::rows};
}  // namespace kernels
