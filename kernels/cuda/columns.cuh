// Sums over rows, column by column, in a fixed order and without atomics: for column_sum, for tables of partial sums,
// and for passes that add up what they write.
//
// The rows are cut into parts, the columns into strips; a block of 256 threads has one part's rows of a strip. 8
// threads side by side own a pack of N columns each (16 bytes, so 128 bytes of a row; 32 threads and one column where
// the rows allow no packs) and the others the same columns in the next rows. A thread has the loads of 4 rows under way
// at once. Shared memory (at most 8 KiB) adds up what the threads found, and the block writes its strip of a (parts, C)
// table.
#pragma once

#include <algorithm>

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

constexpr int column_threads = 256;
template <int N>
constexpr int side_by_side = N == 1 ? 32 : 8;  // threads at one row

/// The table, and how it is cut.
struct Columns {
  float* out;  // (parts, C)
  long long rows, rows_a_part, C;
  bool accumulate;
};

/// At most 64 parts: a second stage then adds two rows a thread. Up to 256 rows are one part, and there is none.
inline long long rows_a_part(long long rows) {
  constexpr long long fewest = 256, parts = 64;
  return std::max(fewest, (rows + parts - 1) / parts);
}
inline unsigned parts_of(long long rows) { return blocks_for(rows, rows_a_part(rows)); }

/// Bytes of the table where there is more than one part.
inline std::size_t table_bytes(long long rows, long long C) {
  const std::size_t parts = parts_of(rows);
  return parts == 1 ? 0 : (parts * static_cast<std::size_t>(C) * sizeof(float) + 255) / 256 * 256;
}

/// Sums to `out`, or to a table that is still to be added up.
inline Columns columns_of(long long rows, const View& out, Write mode, void* table) {
  const bool whole = parts_of(rows) == 1;
  return {.out = whole ? out.as<float>() : static_cast<float*>(table),
          .rows = rows,
          .rows_a_part = rows_a_part(rows),
          .C = out.cols(),
          .accumulate = whole && mode == Write::accumulate};
}

template <int N>
Grid grid_of(const Columns& a) {
  return {blocks_for(a.C, side_by_side<N> * N) * blocks_for(a.rows, a.rows_a_part), column_threads};
}

/// What a block of grid_of does. `load(r, c)` gives what is read of row r from column c on; `values(of_row, r, c, x)`
/// makes N values to be added out of that, and may write to that row. Where a part ends, a row is loaded again by its
/// own thread. `put(part, c, total)` takes the sum of a column.
template <int N, class Load, class Values, class Put>
__device__ void sum_columns(const Columns& a, Load load, Values values, Put put) {
  constexpr int width = side_by_side<N> * N, row_lanes = column_threads / side_by_side<N>, under_way = 4;
  const long long strips = (a.C + width - 1) / width;
  const long long first = blockIdx.x % strips * width, part = blockIdx.x / strips;
  const int own = static_cast<int>(threadIdx.x) % side_by_side<N> * N;
  const int l = static_cast<int>(threadIdx.x) / side_by_side<N>;
  float sum[N] = {};
  if (first + own < a.C) {
    const long long end = min(a.rows, (part + 1) * a.rows_a_part);
    for (long long r = part * a.rows_a_part + l; r < end; r += under_way * row_lanes) {
      decltype(load(r, first)) rows[under_way];
#pragma unroll
      for (int i = 0; i < under_way; ++i) rows[i] = load(r + i * row_lanes < end ? r + i * row_lanes : r, first + own);
#pragma unroll
      for (int i = 0; i < under_way; ++i) {
        if (r + i * row_lanes >= end) break;
        float x[N];
        values(rows[i], r + i * row_lanes, first + own, x);
#pragma unroll
        for (int j = 0; j < N; ++j) sum[j] += x[j];
      }
    }
  }
  auto sums = shared<float, row_lanes * width, 0>();  // (row_lanes, width)
#pragma unroll
  for (int i = 0; i < N; ++i) sums[l * width + own + i] = sum[i];
  __syncthreads();
  const int c = static_cast<int>(threadIdx.x);
  if (c >= width || first + c >= a.C) return;
  float total = 0;
  for (int i = 0; i < row_lanes; ++i) total += sums[i * width + c];
  put(part, first + c, total);
}

/// The same; sums go to a.out.
template <int N, class Load, class Values>
__device__ void sum_columns(const Columns& a, Load load, Values values) {
  sum_columns<N>(a, load, values, [&](long long part, long long c, float total) {
    float* out = a.out + part * a.C + c;
    *out = (a.accumulate ? *out : 0.0f) + total;
  });
}

}  // namespace kernels::MAE_GPU
