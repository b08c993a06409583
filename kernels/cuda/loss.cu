// MAE's loss on CUDA, f32 and bf16.
//
// forward   one warp a patch, 8 patches a block of 256 threads; a lane owns packs of N values (16 bytes where the rows
//           allow), 32 * N apart. With norm_pix the target patch is passed over for its mean, for its variance by
//           deviations, and on masked patches for the error: from memory once, then from L1 (8 patches of 768 values in
//           f32 are 24 KiB). A block adds up its errors into one partial sum; one more block adds those up in a fixed
//           order.
//           Bytes: read rank, pred of masked patches and target (raw: of masked patches only), write 8 bytes of
//           statistics a patch, and 8 bytes a block: the least possible but for the last.
// backward  one warp a row of dpred, 8 rows a block. Bytes: read pred and target of masked patches, their rank and
//           statistics, write dpred: the least possible.
#include <algorithm>
#include <limits>

#include "kernels/cuda/loss.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int warps = 8;
constexpr int threads = 32 * warps;

template <class T, int N>
__device__ Spread spread_of(const T* target, int P, float eps, int lane) {
  float t[N];
  float mean = 0, variance = 0;
  for (int p = lane * N; p < P; p += 32 * N) {
    load<T, N>(target + p, t);
#pragma unroll
    for (int i = 0; i < N; ++i) mean += t[i];
  }
  mean = warp_sum(mean) / static_cast<float>(P);
  for (int p = lane * N; p < P; p += 32 * N) {
    load<T, N>(target + p, t);
#pragma unroll
    for (int i = 0; i < N; ++i) variance += (t[i] - mean) * (t[i] - mean);
  }
  return {mean, 1.0f / sqrtf(warp_sum(variance) / static_cast<float>(P - 1) + eps)};
}

template <class T>
struct Forward {
  Matrix<const T> pred, target;
  Matrix<const std::int32_t> rank;
  Matrix<float> mean, rstd;  // null for raw pixels
  unsigned patches, L;
  int P, keep;
  float eps;
};

// The lane's share of the squared error of a patch, 0 where it is kept; writes the statistics.
template <class T, int N>
__device__ float squared_error(const Forward<T>& a, unsigned patch, int lane) {
  const unsigned b = patch / a.L, l = patch - b * a.L;
  const T* target = a.target[patch];
  Spread s;
  if (a.mean.data) {
    s = spread_of<T, N>(target, a.P, a.eps, lane);
    if (lane == 0) {
      a.mean[b][l] = s.mean;
      a.rstd[b][l] = s.rstd;
    }
  }
  if (a.rank[b][l] < a.keep) return 0;
  const T* pred = a.pred[patch + b + 1];  // behind the class tokens of this sample and of all before it
  float sum = 0;
  for (int p = lane * N; p < a.P; p += 32 * N) {
    float x[N], t[N];
    load<T, N>(pred + p, x);
    load<T, N>(target + p, t);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float difference = x[i] - (t[i] - s.mean) * s.rstd;
      sum += difference * difference;
    }
  }
  return sum;
}

template <class T, int N>
__global__ void __launch_bounds__(threads) forward_kernel(Forward<T> a, float* partial) {
  const unsigned patch = blockIdx.x * warps + threadIdx.x / 32;
  const float error = patch < a.patches ? squared_error<T, N>(a, patch, threadIdx.x % 32) : 0.0f;
  const float sum = block_sum<threads, 0>(error);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(threads)
    total_kernel(const float* partial, unsigned parts, float* loss, float scale, bool accumulate) {
  float sum = 0;
  for (unsigned p = threadIdx.x; p < parts; p += threads) sum += partial[p];
  const float total = block_sum<threads, 0>(sum);
  if (threadIdx.x == 0) *loss = (accumulate ? *loss : 0.0f) + scale * total;
}

template <class T>
struct Backward {
  Matrix<const T> pred, target;
  Matrix<const std::int32_t> rank;
  Matrix<const float> mean, rstd;  // null for raw pixels
  Matrix<T> dpred;
  unsigned rows, L;  // rows = B * (1 + L)
  int P, keep;
  float twice_scale;
};

template <class T, int N>
__global__ void __launch_bounds__(threads) backward_kernel(Backward<T> a) {
  const int lane = threadIdx.x % 32;
  const unsigned r = blockIdx.x * warps + threadIdx.x / 32;
  if (r >= a.rows) return;
  const unsigned b = r / (1 + a.L);
  const int l = static_cast<int>(r - b * (1 + a.L)) - 1;  // -1: the class token
  const bool masked = l >= 0 && a.rank[b][l] >= a.keep;
  Spread s;
  if (masked && a.mean.data) s = {a.mean[b][l], a.rstd[b][l]};
  const T* pred = a.pred[r];
  const T* target = a.target[b * a.L + static_cast<unsigned>(max(l, 0))];  // not read for the class token
  T* dpred = a.dpred[r];
  for (int p = lane * N; p < a.P; p += 32 * N) {
    float out[N] = {};
    if (masked) {
      float t[N];
      load<T, N>(pred + p, out);
      load<T, N>(target + p, t);
#pragma unroll
      for (int i = 0; i < N; ++i) out[i] = a.twice_scale * (out[i] - (t[i] - s.mean) * s.rstd);
    }
    store<T, N>(dpred + p, out);
  }
}

// f.operator()<N>() for the widest packs in which rows of all the views can be moved
template <class T, class F, class... Views>
void with_widest_pack(F&& f, const Views&... views) {
  const auto all = [&](int N) { return (packs(views, N) && ...); };
  if (all(widest<T>)) f.template operator()<widest<T>>();
  else if (all(4)) f.template operator()<4>();  // bf16 rows of 588
  else f.template operator()<1>();
}

unsigned forward_blocks(const MaskedMseForward& a) { return blocks_for(a.target.rows(), warps); }

template <class T>
void forward_typed(Stream& stream, const MaskedMseForward& a, float* partial) {
  const Forward<T> p{.pred = matrix<const T>(a.pred),
                     .target = matrix<const T>(a.target),
                     .rank = matrix<const std::int32_t>(a.rank),
                     .mean = matrix<float>(a.mean),
                     .rstd = matrix<float>(a.rstd),
                     .patches = static_cast<unsigned>(a.target.rows()),
                     .L = static_cast<unsigned>(a.target.shape[1]),
                     .P = static_cast<int>(a.target.cols()),
                     .keep = a.keep,
                     .eps = static_cast<float>(a.eps)};
  const unsigned blocks = forward_blocks(a);
  const auto run = [&]<int N>() { run_kernel(stream, {blocks, threads}, forward_kernel<T, N>, p, partial); };
  with_widest_pack<T>(run, a.pred, a.target);
  add_up_loss(stream, partial, blocks, a.loss, a.scale, a.mode);
}

template <class T>
void backward_typed(Stream& stream, const MaskedMseBackward& a) {
  const Backward<T> p{.pred = matrix<const T>(a.pred),
                      .target = matrix<const T>(a.target),
                      .rank = matrix<const std::int32_t>(a.rank),
                      .mean = matrix<const float>(a.mean),
                      .rstd = matrix<const float>(a.rstd),
                      .dpred = matrix<T>(a.dpred),
                      .rows = static_cast<unsigned>(a.dpred.rows()),
                      .L = static_cast<unsigned>(a.target.shape[1]),
                      .P = static_cast<int>(a.target.cols()),
                      .keep = a.keep,
                      .twice_scale = static_cast<float>(2 * a.scale)};
  const auto run = [&]<int N>() { run_kernel(stream, {blocks_for(p.rows, warps), threads}, backward_kernel<T, N>, p); };
  with_widest_pack<T>(run, a.pred, a.target, a.dpred);
}

void forward_run(Stream& stream, const MaskedMseForward& a, void* scratch) {
  visit(a.target.dtype, [&]<class T>(T) { forward_typed<T>(stream, a, static_cast<float*>(scratch)); });
}

void backward_run(Stream& stream, const MaskedMseBackward& a, void*) {
  visit(a.target.dtype, [&]<class T>(T) { backward_typed<T>(stream, a); });
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (const char* reason = not_f32_or_bf16(a.target)) return reason;
  return a.pred.rows() <= std::numeric_limits<int>::max() ? nullptr : "this row has at most 2^31 - 1 predictions";
}

std::size_t forward_workspace(const Device&, const MaskedMseForward& a) { return forward_blocks(a) * sizeof(float); }

}  // namespace

const Variant<MaskedMseForward> forward_rows[] = {
    {.name = "warp", .refuses = refuses<MaskedMseForward>, .workspace = forward_workspace, .run = forward_run}};
const Variant<MaskedMseBackward> backward_rows[] = {
    {.name = "warp", .refuses = refuses<MaskedMseBackward>, .run = backward_run}};

void add_up_loss(Stream& stream, const float* partial, unsigned parts, const View& loss, double scale, Write mode) {
  run_kernel(stream, {1, threads}, total_kernel, partial, parts, loss.as<float>(), static_cast<float>(scale),
             mode == Write::accumulate);
}

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<MaskedMseForward> MaskedMseForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<MaskedMseBackward> MaskedMseBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
