// The two kernels of every move of tokens on CUDA, f32 and bf16. For each move a rule says which rows meet.
//
// rows   every output row is a copy of one row or the sum of two. One warp a row, 4 rows a block of 128 threads; a lane
//        owns packs of N elements (16 bytes where all rows allow), 32 * N apart.
//        Bytes: read each source, write out, the least possible; what all samples read (positions, mask_token, a
//        table) comes from the L2 cache but for the first time.
// sums   every output row is a sum of rows, without atomics: a thread owns N columns of a sum and adds the rows in
//        order, 8 loads in flight. One warp 32 * N columns, 4 warps a block. N makes packs of 16 bytes where all rows
//        allow and there are several sums; else it is 1, so that one sum has as many threads as columns.
//        Bytes: read what is added, write the sums, the least possible.
//
// No shared memory and no barrier. Rows, tokens and columns are counted by ints, as ids and ranks are: a 64-bit
// division is a subroutine of a hundred instructions, and every warp needs one for its row.
#pragma once

#include <limits>

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

inline constexpr int token_warps = 4;  // of a block, in both kernels
inline constexpr int in_flight = 8;    // loads of a thread in sums

using Indices = Matrix<const std::int32_t>;
inline Indices indices(const View& view) { return matrix<const std::int32_t>(view); }
inline int size(const View& view, int dimension) { return static_cast<int>(view.shape[dimension]); }

// ---- rows -----------------------------------------------------------------------------------------------------------

/// An output row is first + second, or first alone, or 0.
template <class T>
struct Sources {
  const T *first = nullptr, *second = nullptr;
};

/// Row t of sample b is what rule(b, t) says.
template <class T, int N, class Rule>
__global__ void __launch_bounds__(32 * token_warps)
    rows_kernel(Rule rule, Matrix<T> out, unsigned rows, unsigned rows_a_sample, int C) {
  const unsigned r = blockIdx.x * token_warps + threadIdx.x / 32;
  if (r >= rows) return;
  const Sources<T> from = rule(static_cast<int>(r / rows_a_sample), static_cast<int>(r % rows_a_sample));
  T* to = out[r];
  if (from.first == to && !from.second) return;  // stays as it is
  for (int c = threadIdx.x % 32 * N; c < C; c += 32 * N) {
    float sum[N] = {}, other[N];
    if (from.first) load<T, N>(from.first + c, sum);
    if (from.second) {
      load<T, N>(from.second + c, other);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += other[i];
    }
    store<T, N>(to + c, sum);
  }
}

/// gather; dx of scatter and of merge, where the class token stands before the others and is kept
template <class T>
struct Gather {
  Matrix<const T> x;
  Indices ids;
  int x_rows;            // tokens of a sample in x
  int class_tokens;      // of a sample in x: 1 or 0
  int kept_classes = 0;  // of a sample in out: 1 or 0
  __device__ Sources<T> operator()(int b, int t) const {
    return {.first = x[b * x_rows + (t < kept_classes ? 0 : class_tokens + ids[b][t - kept_classes])]};
  }
};

// ---- sums -----------------------------------------------------------------------------------------------------------

/// A span of N elements as packs of at most 16 bytes.
template <class T, int N>
__device__ inline void load_span(const T* from, float (&to)[N]) {
  constexpr int n = N < widest<T> ? N : widest<T>;
#pragma unroll
  for (int j = 0; j < N; j += n) {
    float part[n];
    load<T, n>(from + j, part);
#pragma unroll
    for (int i = 0; i < n; ++i) to[j + i] = part[i];
  }
}
template <class T, int N>
__device__ inline void store_span(T* to, const float (&from)[N]) {
  constexpr int n = N < widest<T> ? N : widest<T>;
#pragma unroll
  for (int j = 0; j < N; j += n) {
    float part[n];
#pragma unroll
    for (int i = 0; i < n; ++i) part[i] = from[j + i];
    store<T, n>(to + j, part);
  }
}

/// sums[r] = (before, if accumulating) + the rows rule(r, 0), rule(r, 1), ... of x; -1 adds nothing
///
/// The 4 blocks an SM in __launch_bounds__ allow 128 registers. With no such number ptxas 13 wants 32, and has room for
/// one wide load at a time: it adds each pack before it loads the next.
template <class T, int N, class Sum, class Rule>
__global__ void __launch_bounds__(32 * token_warps, 4)
    sums_kernel(Rule rule, Matrix<const T> x, int terms, Matrix<Sum> sums, unsigned rows, int C, bool accumulate) {
  const unsigned warp = blockIdx.x * token_warps + threadIdx.x / 32;
  const unsigned spans = (C + 32 * N - 1) / (32 * N);
  const int r = static_cast<int>(warp / spans), c = static_cast<int>(warp % spans * 32 + threadIdx.x % 32) * N;
  if (warp / spans >= rows || c >= C) return;
  float total[N] = {};
  int row[in_flight];
  Pack<T, N> pack[in_flight];
#pragma unroll
  for (int j = 0; j < in_flight; ++j) row[j] = j < terms ? rule(r, j) : -1;
#pragma unroll 1
  for (int i = 0; i < terms; i += in_flight) {
    // three loops: all loads, and the rule's own for the rows after these, are under way before a sum waits for a pack
#pragma unroll
    for (int j = 0; j < in_flight; ++j) pack[j] = row[j] >= 0 ? load_pack<T, N>(x[row[j]] + c) : Pack<T, N>{};
#pragma unroll
    for (int j = 0; j < in_flight; ++j) row[j] = i + in_flight + j < terms ? rule(r, i + in_flight + j) : -1;
#pragma unroll
    for (int j = 0; j < in_flight; ++j) {
#pragma unroll
      for (int n = 0; n < N; ++n) total[n] += static_cast<float>(pack[j].at[n]);
    }
  }
  if (accumulate) {
    float before[N];
    load_span<Sum, N>(sums[r] + c, before);
#pragma unroll
    for (int n = 0; n < N; ++n) total[n] += before[n];
  }
  store_span<Sum, N>(sums[r] + c, total);
}

// ---- launches -------------------------------------------------------------------------------------------------------

template <class T, class Rule>
void write_rows(Stream& stream, bool wide, const Rule& rule, const View& out) {
  const auto kernel = wide ? rows_kernel<T, widest<T>, Rule> : rows_kernel<T, 1, Rule>;
  run_kernel(stream, {blocks_for(out.rows(), token_warps), 32 * token_warps}, kernel, rule, matrix<T>(out),
             static_cast<unsigned>(out.rows()), static_cast<unsigned>(out.shape[1]), static_cast<int>(out.cols()));
}

/// Sum: the type of sums.
template <class T, class Sum, class Rule>
void write_sums(Stream& stream, const View& x, const Rule& rule, std::int64_t terms, const View& sums, Write mode) {
  const bool packed = sums.rows() > 1 && packs(x, widest<T>) && packs(sums, std::min(widest<T>, widest<Sum>)) &&
                      sums.cols() % widest<T> == 0;
  const auto kernel = packed ? sums_kernel<T, widest<T>, Sum, Rule> : sums_kernel<T, 1, Sum, Rule>;
  const long long spans = blocks_for(sums.cols(), 32 * (packed ? widest<T> : 1));
  run_kernel(stream, {blocks_for(sums.rows() * spans, token_warps), 32 * token_warps}, kernel, rule, matrix<const T>(x),
             static_cast<int>(terms), matrix<Sum>(sums), static_cast<unsigned>(sums.rows()),
             static_cast<int>(sums.cols()), mode == Write::accumulate);
}

/// What all moves of tokens refuse on a GPU; null: nothing.
template <class Args>
const char* refuses_tokens(const Device&, const Args& a) {
  const char* reason = nullptr;
  Args::fields(a, [&](const char*, const View& v, Role) {
    if (!v || reason) return;
    if (is_floating(v.dtype)) reason = not_f32_or_bf16(v);
    if (v.rows() > std::numeric_limits<int>::max()) reason = "this row has fewer than 2^31 tokens";
  });
  return reason;
}

}  // namespace kernels::MAE_GPU
