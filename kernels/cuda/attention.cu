// Attention on CUDA, f32 and bf16, any length and any head of up to 256 elements: the one to read first. Others stand
// before it for bf16: attention_short*.cu, up to 264 tokens, a block a head, and attention_flash*.cu, any length, both
// on tensor cores; behind it cuDNN, where it is built in, attention_cudnn.cpp.
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

struct Heads {
  int Tq, T, H, D;
  long long warps_needed;  // one a token: B H Tq, or B H T
  float scale;
};

/// What a warp works on: token `t` of head `h` of sample `b`.
struct Token {
  int b, h, t;
};
__device__ inline Token token_of(const Heads& s, int tokens, long long warp) {
  const int t = static_cast<int>(warp % tokens), bh = static_cast<int>(warp / tokens);
  return {bh / s.H, bh % s.H, t};
}
__device__ inline long long my_warp() { return static_cast<long long>(blockIdx.x) * warps + threadIdx.x / lanes; }

/// The D elements of the warp's head in row t of its sample, of Tq rows or of T; and the row of Tq statistics.
template <class T>
__device__ T* query_row(const Matrix<T>& x, const Heads& s, const Token& p, int t) {
  return x[static_cast<long long>(p.b) * s.Tq + t] + p.h * s.D;
}
template <class T>
__device__ T* key_row(const Matrix<T>& x, const Heads& s, const Token& p, int t) {
  return x[static_cast<long long>(p.b) * s.T + t] + p.h * s.D;
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
__global__ void __launch_bounds__(warps* lanes) forward_kernel(Heads s, Matrix<const T> q_rows, Matrix<const T> k,
                                                               Matrix<const T> v, Matrix<T> out, Matrix<float> lse) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, s.Tq, my_warp());
  const T* q = query_row(q_rows, s, p, p.t);
  auto weights = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;  // (32), this warp's

  float most = -INFINITY, sum = 0, owned[held] = {};
  for (int first = 0; first < s.T; first += lanes) {
    const int j = first + lane;
    const float score = j < s.T ? s.scale * dot(q, key_row(k, s, p, j), s.D) : -INFINITY;
    const float peak = fmaxf(most, warp_max(score));
    const float probability = expf(score - peak), keep = expf(most - peak);  // 0 beyond T; 0 at first
    weights[lane] = probability;
    __syncwarp();
    sum = sum * keep + warp_sum(probability);
#pragma unroll
    for (int n = 0; n < held; ++n) owned[n] *= keep;
    for (int i = 0; i < min(lanes, s.T - first); ++i) {
      const float weight = weights[i];
      add_row(weight, key_row(v, s, p, first + i), s.D, owned);
    }
    __syncwarp();  // before the next chunk overwrites the weights
    most = peak;
  }
  write_row(1 / sum, owned, s.D, query_row(out, s, p, p.t));
  if (lse.data && lane == 0) head_row(lse, s, p)[p.t] = most + logf(sum);
}

template <class T>
struct BackwardPointers {
  Matrix<const T> q, k, v, out, dout;
  Matrix<const float> lse;
  Matrix<T> dq, dk, dv;
  float* delta;  // (B, H, Tq), written by the first kernel
};

/// dq = scale * sum over j of ds[j] k[j]
template <class T>
__global__ void __launch_bounds__(warps* lanes) query_kernel(Heads s, BackwardPointers<T> a) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, s.Tq, my_warp());
  const T *q = query_row(a.q, s, p, p.t), *dout = query_row(a.dout, s, p, p.t);
  auto ds = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;  // (32), this warp's

  const float lse = head_row(a.lse, s, p)[p.t], delta = dot(dout, query_row(a.out, s, p, p.t), s.D);
  if (lane == 0) a.delta[my_warp()] = delta;
  float owned[held] = {};
  for (int first = 0; first < s.T; first += lanes) {
    const int j = min(first + lane, s.T - 1);
    const float probability = expf(s.scale * dot(q, key_row(a.k, s, p, j), s.D) - lse);
    ds[lane] = probability * (dot(dout, key_row(a.v, s, p, j), s.D) - delta);
    __syncwarp();
    for (int i = 0; i < min(lanes, s.T - first); ++i) {
      const float weight = ds[i];
      add_row(weight, key_row(a.k, s, p, first + i), s.D, owned);
    }
    __syncwarp();
  }
  write_row(s.scale, owned, s.D, query_row(a.dq, s, p, p.t));
}

/// dk = scale * sum over i of ds[i] q[i],   dv = sum over i of p[i] dout[i]
template <class T>
__global__ void __launch_bounds__(warps* lanes) key_kernel(Heads s, BackwardPointers<T> a) {
  const int lane = threadIdx.x % lanes;
  if (my_warp() >= s.warps_needed) return;
  const Token p = token_of(s, s.T, my_warp());
  const T *k = key_row(a.k, s, p, p.t), *v = key_row(a.v, s, p, p.t);
  const float* deltas = a.delta + (static_cast<long long>(p.b) * s.H + p.h) * s.Tq;
  auto ds = shared<float, warps * lanes, 0>() + threadIdx.x / lanes * lanes;       // (32), this warp's
  auto weights = shared<float, warps * lanes, 1>() + threadIdx.x / lanes * lanes;  // (32)

  float dk[held] = {}, dv[held] = {};
  for (int first = 0; first < s.Tq; first += lanes) {
    const int i = min(first + lane, s.Tq - 1);
    const float probability = expf(s.scale * dot(query_row(a.q, s, p, i), k, s.D) - head_row(a.lse, s, p)[i]);
    weights[lane] = probability;
    ds[lane] = probability * (dot(query_row(a.dout, s, p, i), v, s.D) - deltas[i]);
    __syncwarp();
    for (int n = 0; n < min(lanes, s.Tq - first); ++n) {
      const float slope = ds[n], weight = weights[n];
      add_row(slope, query_row(a.q, s, p, first + n), s.D, dk);
      add_row(weight, query_row(a.dout, s, p, first + n), s.D, dv);
    }
    __syncwarp();
  }
  write_row(s.scale, dk, s.D, key_row(a.dk, s, p, p.t));
  write_row(1.0f, dv, s.D, key_row(a.dv, s, p, p.t));
}

template <class Args>
Heads heads_of(const Args& a, bool by_key) {
  const AttentionSizes s = sizes_of(a);
  return {.Tq = static_cast<int>(s.Tq),
          .T = static_cast<int>(s.T),
          .H = static_cast<int>(s.H),
          .D = static_cast<int>(s.D),
          .warps_needed = s.B * s.H * (by_key ? s.T : s.Tq),
          .scale = static_cast<float>(a.scale)};
}

Grid grid_of(const Heads& s) { return {blocks_for(s.warps_needed, warps), warps * lanes}; }

void forward_run(Stream& stream, const AttentionForward& a, void*) {
  const Heads s = heads_of(a, false);
  visit(a.q.dtype, [&]<class T>(T) {
    run_kernel(stream, grid_of(s), forward_kernel<T>, s, matrix<const T>(a.q), matrix<const T>(a.k),
               matrix<const T>(a.v), matrix<T>(a.out), matrix<float>(a.lse));
  });
}

std::size_t delta_bytes(const AttentionBackward& a) {
  return (static_cast<std::size_t>(a.lse.shape.count()) * sizeof(float) + 511) / 512 * 512;
}

void backward_run(Stream& stream, const AttentionBackward& a, void* scratch) {
  const Heads by_query = heads_of(a, false), by_key = heads_of(a, true);
  visit(a.q.dtype, [&]<class T>(T) {
    const BackwardPointers<T> p{.q = matrix<const T>(a.q),
                                .k = matrix<const T>(a.k),
                                .v = matrix<const T>(a.v),
                                .out = matrix<const T>(a.out),
                                .dout = matrix<const T>(a.dout),
                                .lse = matrix<const float>(a.lse),
                                .dq = matrix<T>(a.dq),
                                .dk = matrix<T>(a.dk),
                                .dv = matrix<T>(a.dv),
                                .delta = static_cast<float*>(scratch)};
    run_kernel(stream, grid_of(by_query), query_kernel<T>, by_query, p);
    run_kernel(stream, grid_of(by_key), key_kernel<T>, by_key, p);
  });
  sum_bias(stream, a, static_cast<std::byte*>(scratch) + delta_bytes(a));
}

std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  return delta_bytes(a) + sum_bias_workspace(device, a);
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (sizes_of(a).D > widest_head) return "this row has heads of up to 256 elements";
  return not_f32_or_bf16(a.q);
}

}  // namespace

// cuDNN's row comes last, so that it is taken by name alone: it has not run on a GPU yet. simt never has it.
const Variant<AttentionForward> attention_forward_rows[] = {
    row<struct Short, AttentionForward>(),
    row<struct Flash, AttentionForward>(),
    {.name = "naive", .refuses = refuses<AttentionForward>, .run = forward_run},
#ifdef MAE_WITH_CUDNN
    row<struct Cudnn, AttentionForward>(),
#endif
};
const Variant<AttentionBackward> attention_backward_rows[] = {
    row<struct Short, AttentionBackward>(),
    row<struct Flash, AttentionBackward>(),
    {.name = "naive", .refuses = refuses<AttentionBackward>, .workspace = backward_workspace, .run = backward_run},
#ifdef MAE_WITH_CUDNN
    row<struct Cudnn, AttentionBackward>(),
#endif
};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<AttentionForward> AttentionForward::MAE_GPU{MAE_GPU::attention_forward_rows};
const Rows<AttentionBackward> AttentionBackward::MAE_GPU{MAE_GPU::attention_backward_rows};
}  // namespace kernels
