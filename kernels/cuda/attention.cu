// Attention on CUDA, f32 and bf16, any length and any head of up to 256 elements: the one to read first.
//
// forward   one warp a query, 4 queries a block of 128 threads. Keys come in chunks of 32, one a lane: the lane makes
//           its score, and the warp a running maximum and sum (online softmax: what was summed before is scaled down
//           when the maximum grows). Then the lanes turn to the values: each owns elements lane, lane + 32, ... of the
//           output and adds the chunk's values, weighted by the probabilities, which lie in shared memory.
// backward  two kernels, no atomics. By query, as forward: delta = dout . out, kept in scratch (B, H, T), and dq.
//           By key, the roles turned round: the chunk's lanes are queries, the warp owns one dk and one dv.
//           Both make P = exp(S - lse) again.
// Bytes: a query reads all keys and values of its head again, T times the least possible, mostly from the caches.
//
// A query's output equals     p = softmax(scale * q k^T);   out = sum over j of p[j] v[j]
#include "kernels/attention.h"
#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int warps = 4;  // a block
constexpr int widest_head = 256;
constexpr int held = widest_head / lanes;  // elements of a row of D that one lane owns

enum { query, key, value };

struct Heads {
  int T, H, D;
  long long warps_needed;  // B H T
  float scale;
};

/// What a warp works on: token `t` of head `h` of sample `b`.
struct Token {
  int b, h, t;
};
__device__ inline Token token_of(const Heads& s, long long warp) {
  const int t = static_cast<int>(warp % s.T), bh = static_cast<int>(warp / s.T);
  return {bh / s.H, bh % s.H, t};
}
__device__ inline long long my_warp() { return static_cast<long long>(blockIdx.x) * warps + threadIdx.x / lanes; }

/// Rows of D elements in (B, T, 3, H, D) and (B, T, H, D), and the row of T statistics in (B, H, T).
template <class T>
__device__ T* packed_row(const Matrix<T>& qkv, const Heads& s, const Token& p, int t, int which) {
  return qkv[((static_cast<long long>(p.b) * s.T + t) * 3 + which) * s.H + p.h];
}
template <class T>
__device__ T* token_row(const Matrix<T>& tokens, const Heads& s, const Token& p, int t) {
  return tokens[(static_cast<long long>(p.b) * s.T + t) * s.H + p.h];
}
template <class T>
__device__ T* head_row(const Matrix<T>& statistics, const Heads& s, const Token& p) {
  return statistics[static_cast<long long>(p.b) * s.H + p.h];
}

template <class T>
__device__ float dot(const T* x, const T* y, int D) {
  float sum = 0;
  for (int d = 0; d < D; ++d) sum += static_cast<float>(x[d]) * static_cast<float>(y[d]);
  return sum;
}

/// owned[n] += weight * row[lane + 32 n]
template <class T>
__device__ void add_row(float weight, const T* row, int D, float (&owned)[held]) {
  const int lane = threadIdx.x % lanes;
#pragma unroll
  for (int n = 0; n < held; ++n) {
    if (lane + n * lanes < D) owned[n] += weight * static_cast<float>(row[lane + n * lanes]);
  }
}

template <class T>
__device__ void write_row(float factor, const float (&owned)[held], int D, T* row) {
  const int lane = threadIdx.x % lanes;
#pragma unroll
  for (int n = 0; n < held; ++n) {
    if (lane + n * lanes < D) row[lane + n * lanes] = T(factor * owned[n]);
  }
}

template <class T>
__global__ void __launch_bounds__(warps* lanes)
    forward_kernel(Heads s, Matrix<const T> qkv, Matrix<T> out, Matrix<float> lse) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, my_warp());
  const T* q = packed_row(qkv, s, p, p.t, query);
  auto weights = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;  // (32), this warp's

  float most = -INFINITY, sum = 0, owned[held] = {};
  for (int first = 0; first < s.T; first += lanes) {
    const int j = first + lane;
    const float score = j < s.T ? s.scale * dot(q, packed_row(qkv, s, p, j, key), s.D) : -INFINITY;
    const float peak = fmaxf(most, warp_max(score));
    const float probability = expf(score - peak), keep = expf(most - peak);  // 0 beyond T; 0 at first
    weights[lane] = probability;
    __syncwarp();
    sum = sum * keep + warp_sum(probability);
#pragma unroll
    for (int n = 0; n < held; ++n) owned[n] *= keep;
    for (int i = 0; i < min(lanes, s.T - first); ++i) {
      const float weight = weights[i];
      add_row(weight, packed_row(qkv, s, p, first + i, value), s.D, owned);
    }
    __syncwarp();  // before the next chunk overwrites the weights
    most = peak;
  }
  write_row(1 / sum, owned, s.D, token_row(out, s, p, p.t));
  if (lse.data && lane == 0) head_row(lse, s, p)[p.t] = most + logf(sum);
}

template <class T>
struct BackwardPointers {
  Matrix<const T> qkv, out, dout;
  Matrix<const float> lse;
  Matrix<T> dqkv;
  float* delta;  // (B, H, T), written by the first kernel
};

/// dq = scale * sum over j of ds[j] k[j]
template <class T>
__global__ void __launch_bounds__(warps* lanes) query_kernel(Heads s, BackwardPointers<T> a) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, my_warp());
  const T *q = packed_row(a.qkv, s, p, p.t, query), *dout = token_row(a.dout, s, p, p.t);
  auto ds = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;  // (32), this warp's

  const float lse = head_row(a.lse, s, p)[p.t], delta = dot(dout, token_row(a.out, s, p, p.t), s.D);
  if (lane == 0) a.delta[my_warp()] = delta;
  float owned[held] = {};
  for (int first = 0; first < s.T; first += lanes) {
    const int j = min(first + lane, s.T - 1);
    const float probability = expf(s.scale * dot(q, packed_row(a.qkv, s, p, j, key), s.D) - lse);
    ds[lane] = probability * (dot(dout, packed_row(a.qkv, s, p, j, value), s.D) - delta);
    __syncwarp();
    for (int i = 0; i < min(lanes, s.T - first); ++i) {
      const float weight = ds[i];
      add_row(weight, packed_row(a.qkv, s, p, first + i, key), s.D, owned);
    }
    __syncwarp();
  }
  write_row(s.scale, owned, s.D, packed_row(a.dqkv, s, p, p.t, query));
}

/// dk = scale * sum over i of ds[i] q[i],   dv = sum over i of p[i] dout[i]
template <class T>
__global__ void __launch_bounds__(warps* lanes) key_kernel(Heads s, BackwardPointers<T> a) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, my_warp());
  const T *k = packed_row(a.qkv, s, p, p.t, key), *v = packed_row(a.qkv, s, p, p.t, value);
  const float* deltas = a.delta + (my_warp() - p.t);                               // of this head
  auto ds = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;       // (32), this warp's
  auto weights = shared<float, warps * lanes, 1>() + threadIdx.x / lanes * lanes;  // (32)

  float dk[held] = {}, dv[held] = {};
  for (int first = 0; first < s.T; first += lanes) {
    const int i = min(first + lane, s.T - 1);
    const float probability = expf(s.scale * dot(packed_row(a.qkv, s, p, i, query), k, s.D) - head_row(a.lse, s, p)[i]);
    weights[lane] = probability;
    ds[lane] = probability * (dot(token_row(a.dout, s, p, i), v, s.D) - deltas[i]);
    __syncwarp();
    for (int n = 0; n < min(lanes, s.T - first); ++n) {
      const float slope = ds[n], weight = weights[n];
      add_row(slope, packed_row(a.qkv, s, p, first + n, query), s.D, dk);
      add_row(weight, token_row(a.dout, s, p, first + n), s.D, dv);
    }
    __syncwarp();
  }
  write_row(s.scale, dk, s.D, packed_row(a.dqkv, s, p, p.t, key));
  write_row(1.0f, dv, s.D, packed_row(a.dqkv, s, p, p.t, value));
}

Heads heads_of(const View& qkv, double scale) {
  const Shape& q = qkv.shape;
  return {.T = static_cast<int>(q[1]),
          .H = static_cast<int>(q[3]),
          .D = static_cast<int>(q[4]),
          .warps_needed = q[0] * q[3] * q[1],
          .scale = static_cast<float>(scale)};
}

Grid grid_of(const Heads& s) { return {blocks_for(s.warps_needed, warps), warps * lanes}; }

void forward_run(Stream& stream, const AttentionForward& a, void*) {
  const Heads s = heads_of(a.qkv, a.scale);
  visit(a.qkv.dtype, [&]<class T>(T) {
    run_kernel(stream, grid_of(s), forward_kernel<T>, s, matrix<const T>(a.qkv), matrix<T>(a.out),
               matrix<float>(a.lse));
  });
}

void backward_run(Stream& stream, const AttentionBackward& a, void* scratch) {
  const Heads s = heads_of(a.qkv, a.scale);
  visit(a.qkv.dtype, [&]<class T>(T) {
    const BackwardPointers<T> p{.qkv = matrix<const T>(a.qkv),
                                .out = matrix<const T>(a.out),
                                .dout = matrix<const T>(a.dout),
                                .lse = matrix<const float>(a.lse),
                                .dqkv = matrix<T>(a.dqkv),
                                .delta = static_cast<float*>(scratch)};
    run_kernel(stream, grid_of(s), query_kernel<T>, s, p);
    run_kernel(stream, grid_of(s), key_kernel<T>, s, p);
  });
}

std::size_t backward_workspace(const Device&, const AttentionBackward& a) {
  return static_cast<std::size_t>(a.lse.shape.count()) * sizeof(float);
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (a.qkv.cols() > widest_head) return "this row has heads of up to 256 elements";
  return not_f32_or_bf16(a.qkv);
}

constexpr Variant<AttentionForward> forward_rows[] = {
    {.name = "naive", .refuses = refuses<AttentionForward>, .run = forward_run}};
constexpr Variant<AttentionBackward> backward_rows[] = {
    {.name = "naive", .refuses = refuses<AttentionBackward>, .workspace = backward_workspace, .run = backward_run}};

}  // namespace
}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<AttentionForward> AttentionForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<AttentionBackward> AttentionBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
