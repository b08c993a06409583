// LayerNorm backward on CUDA in one pass over memory, f32 and bf16: dx, dgamma, dbeta and the column sums of dx.
//
// backward  A block of up to 10 warps walks down one part of the rows. At most 264 parts, two for each multiprocessor
//           of an H100, so that all run at once; how many depends on R and C alone. W = ceil(C / 256) warps share a
//           row, and a thread owns 8 of its columns, in packs of N (16 bytes where the rows allow): gamma there, and
//           the three sums, stay in registers from the first row to the last. 10 / W such groups stand side by side,
//           each with K rows under way (2 for bf16 in packs, else 1), whose dy, x and dx are all asked for before the
//           first is needed. Row sums go through 160 K bytes of shared memory, in two halves, so that one barrier does
//           for K rows of each group. At the end the groups' sums meet in 30 KiB of shared memory, are added in order
//           and become one row of `partial` (parts, 3, C).
// finish    Adds up the 3 C columns of `partial`, each block 32 of them in all parts: columns.cuh.
//
// It equals, for each part (finish adds up the parts):
//
//     for (r) {
//       for (c) n[c] = (x[r][c] - mean[r]) * rstd[r], g[c] = dy[r][c] * gamma[c];
//       for (c) partial[0][c] += dy[r][c] * n[c], partial[1][c] += dy[r][c];
//       for (c) dx[r][c] = before + rstd[r] * (g[c] - average(g) - n[c] * average(g * n)), partial[2][c] += dx[r][c];
//     }
//
// Bytes: dy, x (and dx, where it accumulates) read once, dx written once, 8 a row of statistics: the least possible. On
// top of it 12 C a part, written once and read once. For B=64, T=197, C=512 in bf16 (12,608 rows, 253 parts of 50) that
// is 38.8 MB, or 51.7 MB where dx accumulates, and 1.6 MB twice for the partials.
#include <algorithm>

#include "kernels/cuda/columns.cuh"
#include "kernels/layernorm.h"

namespace kernels::MAE_GPU {

struct Fused;  // the row's name for the table in layernorm.cu

namespace {

constexpr int warps = 10;  // of a block, at most
constexpr int threads = 32 * warps;
constexpr int owned = 8;  // columns of a thread
constexpr int most_parts = 264;

template <int N>
constexpr int held = owned / N;  // packs of N that a thread holds of a row
template <int N>
constexpr int rows_at_once = N == 8 ? 2 : 1;  // of a group: 32 bytes of each operand a thread, in bf16 and in f32

template <class T>
struct Backward {
  Matrix<const T> dy, x;
  const T* gamma;
  const float *mean, *rstd;
  Matrix<T> dx;    // null: not wanted
  float* partial;  // (parts, 3, C); null: no sum is wanted
  int rows, rows_a_part, C, warps_a_row, groups;
  float a_column;  // 1 / C
  bool accumulate;
};

// Where a thread stands: which group of the block, and which thread of the group.
struct Spot {
  int width;  // threads of a group
  int group, t;

  template <int N>
  __device__ int column(int pack) const {
    return (pack * width + t) * N;
  }
};

__device__ Spot spot_of(int warps_a_row) {
  const int width = 32 * warps_a_row, thread = static_cast<int>(threadIdx.x);
  return {.width = width, .group = thread / width, .t = thread % width};
}

// N elements as they lie in memory. Words, because nvcc keeps each half of a word in a register of its own when it is
// told of halves: a row of bf16 that waits for its sums would take twice the registers.
template <class T, int N>
struct Packed {
  static constexpr int bytes = N * static_cast<int>(sizeof(T)), words = (bytes + 3) / 4;
  unsigned word[words];

  __device__ float operator[](int i) const {
    T element;
    const unsigned w = word[i * static_cast<int>(sizeof(T)) / 4] >> (i * static_cast<int>(sizeof(T)) % 4 * 8);
    memcpy(static_cast<void*>(&element), &w, sizeof(T));  // bf16 has constructors, which g++ warns of
    return static_cast<float>(element);
  }
};

template <int N, class T>
__device__ Packed<T, N> read(const T* from) {
  require_aligned(from, sizeof(Pack<T, N>));
  Packed<T, N> packed{};
  if constexpr (N == 1) {
    const T element = *from;  // memcpy from `from` itself would go byte by byte
    memcpy(&packed, &element, sizeof(T));
  } else {
    struct alignas(Packed<T, N>::bytes) Words {
      unsigned word[Packed<T, N>::words];
    };
    const auto w = *reinterpret_cast<const Words*>(from);
    memcpy(&packed, &w, sizeof w);
  }
  return packed;
}

// A thread's share of a row, as it lies in memory; zeros outside of it.
template <class T, int N>
struct Slice {
  Packed<T, N> dy[held<N>], x[held<N>], dx[held<N>];
  float mean = 0, rstd = 0;

  __device__ float normalised(int p, int i) const { return (x[p][i] - mean) * rstd; }
};

template <class T, int N>
__device__ Slice<T, N> slice_of(const Backward<T>& a, const Spot& spot, int r, bool inside) {
  Slice<T, N> slice{};
  if (!inside) return slice;
  slice.mean = a.mean[r];
  slice.rstd = a.rstd[r];
#pragma unroll
  for (int p = 0; p < held<N>; ++p) {
    const int c = spot.column<N>(p);
    if (c >= a.C) continue;
    slice.dy[p] = read<N>(a.dy[r] + c);
    slice.x[p] = read<N>(a.x[r] + c);
    if (a.accumulate) slice.dx[p] = read<N>(static_cast<const T*>(a.dx[r] + c));
  }
  return slice;
}

// Adds each value over the threads of the group: lanes by a butterfly, then warps in order. Calls take the two halves
// of the shared memory in turn: who writes a half again has passed the barrier of the call between, and so have those
// that still read it then.
template <int Count>
__device__ void sum_over_row(float (&values)[Count], int group, int warps_a_row, int half) {
  auto sums = shared<float, 2 * warps * Count, 0>();  // (2, warps, Count)
  const int warp = half * warps + static_cast<int>(threadIdx.x) / 32, first = half * warps + group * warps_a_row;
#pragma unroll
  for (int i = 0; i < Count; ++i) values[i] = warp_sum(values[i]);
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int i = 0; i < Count; ++i) sums[warp * Count + i] = values[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < Count; ++i) values[i] = 0;
#pragma unroll 1
  for (int w = first; w < first + warps_a_row; ++w) {
#pragma unroll
    for (int i = 0; i < Count; ++i) values[i] += sums[w * Count + i];
  }
}

// The sums of a thread's own columns over the rows of its group: dgamma, dbeta, dx_sum.
using Share = float[3][owned];

// What a row adds to dgamma and dbeta, and a thread's part of its two sums.
template <class T, int N>
__device__ void add_row(const Slice<T, N>& s, const Packed<T, N> (&gamma)[held<N>], Share& share, float& sum_g,
                        float& sum_gn) {
#pragma unroll
  for (int j = 0; j < owned; ++j) {
    const float dy = s.dy[j / N][j % N], n = s.normalised(j / N, j % N), g = dy * gamma[j / N][j % N];
    share[0][j] += dy * n;
    share[1][j] += dy;
    sum_g += g;
    sum_gn += g * n;
  }
}

// dx of a row whose sums are known: the slice is unpacked once more, which takes fewer registers than g and n would.
template <class T, int N>
__device__ void write_dx(const Backward<T>& a, const Spot& spot, int r, const Slice<T, N>& s,
                         const Packed<T, N> (&gamma)[held<N>], float sum_g, float sum_gn, float (&dx_sum)[owned]) {
  const float scale = s.rstd * a.a_column, average_g = scale * sum_g, average_gn = scale * sum_gn;  // times rstd
#pragma unroll
  for (int p = 0; p < held<N>; ++p) {
    if (spot.column<N>(p) >= a.C) continue;
    float out[N];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float g = s.rstd * gamma[p][i] * s.dy[p][i];
      out[i] = s.dx[p][i] + (g - average_g - s.normalised(p, i) * average_gn);
      dx_sum[p * N + i] += out[i];
    }
    store<T, N>(a.dx[r] + spot.column<N>(p), out);
  }
}

// Adds the groups' shares in order, into this part's row of partial.
template <int N>
__device__ void write_partial(const Share& share, const Spot& spot, int groups, float* partial, int C) {
  constexpr int together = N < 4 ? N : 4;  // columns of one store
  auto shares = shared<float, 3 * owned * threads, 1>();
#pragma unroll
  for (int s = 0; s < 3; ++s) {
#pragma unroll
    for (int k = 0; k < owned; ++k) shares[(s * owned + k) * threads + threadIdx.x] = share[s][k];
  }
  __syncthreads();
  for (int e = threadIdx.x; e < 3 * owned / together * spot.width; e += blockDim.x) {
    const int first = e / spot.width * together, t = e % spot.width;  // of the slots (3, owned), and whose
    const int c = (first % owned / N * spot.width + t) * N + first % N;
    if (c >= C) continue;
    float total[together] = {};
    for (int g = 0; g < groups; ++g) {
#pragma unroll
      for (int i = 0; i < together; ++i) total[i] += shares[(first + i) * threads + g * spot.width + t];
    }
    store<float, together>(partial + first / owned * C + c, total);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(threads, N == 1 ? 1 : 2) backward_kernel(Backward<T> a) {
  constexpr int K = rows_at_once<N>;
  const Spot spot = spot_of(a.warps_a_row);
  Packed<T, N> gamma[held<N>] = {};
#pragma unroll
  for (int p = 0; p < held<N>; ++p) {
    if (spot.column<N>(p) < a.C) gamma[p] = read<N>(a.gamma + spot.column<N>(p));
  }
  Share share = {};
  const int begin = static_cast<int>(blockIdx.x) * a.rows_a_part, end = min(a.rows, begin + a.rows_a_part);
  int half = 0;
  for (int first = begin; first < end; first += a.groups * K, half = 1 - half) {
    const int own = first + spot.group * K;
    Slice<T, N> slices[K];
#pragma unroll
    for (int k = 0; k < K; ++k) slices[k] = slice_of<T, N>(a, spot, own + k, own + k < end);
    float sums[2 * K] = {};  // of g and of g n, row by row
#pragma unroll
    for (int k = 0; k < K; ++k) add_row(slices[k], gamma, share, sums[2 * k], sums[2 * k + 1]);
    if (!a.dx.data) continue;
    sum_over_row(sums, spot.group, a.warps_a_row, half);
#pragma unroll
    for (int k = 0; k < K; ++k) {
      if (own + k < end) write_dx(a, spot, own + k, slices[k], gamma, sums[2 * k], sums[2 * k + 1], share[2]);
    }
  }
  if (a.partial) write_partial<N>(share, spot, a.groups, a.partial + blockIdx.x * 3LL * a.C, a.C);
}

struct Finish {
  const float* partial;  // (parts, 3, C)
  float *dgamma, *dbeta, *dx_sum;
  int C;
  bool add_parameters, add_sum;
};

template <int N>
__global__ void __launch_bounds__(column_threads) finish_kernel(Finish a, Columns table) {
  sum_columns<N>(
      table, [&](long long part, long long c) { return load_pack<float, N>(a.partial + part * table.C + c); },
      [](const Pack<float, N>& row, long long, long long, float(&share)[N]) { widen(row, share); },
      [&](long long, long long column, float total) {
        const int s = static_cast<int>(column) / a.C, c = static_cast<int>(column) % a.C;
        const auto put = [&](float* out, bool add) {
          if (out) out[c] = (add ? out[c] : 0.0f) + total;
        };
        if (s == 0) put(a.dgamma, a.add_parameters);
        if (s == 1) put(a.dbeta, a.add_parameters);
        if (s == 2) put(a.dx_sum, a.add_sum);
      });
}

// ---- the row --------------------------------------------------------------------------------------------------------

int warps_a_row(long long C) { return static_cast<int>(blocks_for(C, 32 * owned)); }
int groups_of(long long C) { return warps / warps_a_row(C); }

// At least four turns of the block's loop, and whole turns.
int rows_a_part(const LayerNormBackward& a) {
  const int turn = groups_of(a.x.cols()) * 2;
  const int rows = std::max(4 * turn, static_cast<int>(blocks_for(a.x.rows(), most_parts)));
  return (rows + turn - 1) / turn * turn;
}
unsigned parts_of(const LayerNormBackward& a) { return blocks_for(a.x.rows(), rows_a_part(a)); }

bool sums_wanted(const LayerNormBackward& a) { return a.dgamma || a.dx_sum; }

std::size_t workspace(const Device&, const LayerNormBackward& a) {
  return sums_wanted(a) ? parts_of(a) * 3 * static_cast<std::size_t>(a.x.cols()) * sizeof(float) : 0;
}

template <class T>
void run_typed(Stream& stream, const LayerNormBackward& a, float* partial) {
  const Backward<T> p{.dy = matrix<const T>(a.dy),
                      .x = matrix<const T>(a.x),
                      .gamma = a.gamma.as<T>(),
                      .mean = a.mean.as<float>(),
                      .rstd = a.rstd.as<float>(),
                      .dx = matrix<T>(a.dx),
                      .partial = partial,
                      .rows = static_cast<int>(a.x.rows()),
                      .rows_a_part = rows_a_part(a),
                      .C = static_cast<int>(a.x.cols()),
                      .warps_a_row = warps_a_row(a.x.cols()),
                      .groups = groups_of(a.x.cols()),
                      .a_column = 1.0f / static_cast<float>(a.x.cols()),
                      .accumulate = a.dx && a.dx_mode == Write::accumulate};
  const auto block = static_cast<unsigned>(32 * p.groups * p.warps_a_row);
  run_kernel(stream, {parts_of(a), block}, wide<T>(a, p.C) ? backward_kernel<T, widest<T>> : backward_kernel<T, 1>, p);
}

void run(Stream& stream, const LayerNormBackward& a, void* scratch) {
  auto* partial = sums_wanted(a) ? static_cast<float*>(scratch) : nullptr;
  visit(a.x.dtype, [&]<class T>(T) { run_typed<T>(stream, a, partial); });
  if (!partial) return;
  const Finish p{.partial = partial,
                 .dgamma = a.dgamma.as<float>(),
                 .dbeta = a.dbeta.as<float>(),
                 .dx_sum = a.dx_sum.as<float>(),
                 .C = static_cast<int>(a.x.cols()),
                 .add_parameters = a.parameter_mode == Write::accumulate,
                 .add_sum = a.sum_mode == Write::accumulate};
  const Columns table{
      .out = nullptr, .rows = parts_of(a), .rows_a_part = parts_of(a), .C = 3 * p.C, .accumulate = false};
  p.C % 4 == 0 ? run_kernel(stream, grid_of<4>(table), finish_kernel<4>, p, table)
               : run_kernel(stream, grid_of<1>(table), finish_kernel<1>, p, table);
}

const char* refuses(const Device&, const LayerNormBackward& a) {
  static_assert(threads * owned == 2560);
  if (a.x.rows() > 1 << 30) return "more than 2^30 rows: this row counts them in 32 bits";
  if (a.x.cols() > threads * owned) return "rows of more than 2560 elements do not fit the registers of a block";
  return not_f32_or_bf16(a.x);
}

}  // namespace

}  // namespace kernels::MAE_GPU

namespace kernels {
template <>
Variant<LayerNormBackward> row<MAE_GPU::Fused, LayerNormBackward>() {
  return {.name = "fused", .refuses = MAE_GPU::refuses, .workspace = MAE_GPU::workspace, .run = MAE_GPU::run};
}
}  // namespace kernels
