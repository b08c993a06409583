// How elementwise kernels share out views of one shape (R, C): blocks of 256 threads along a row, a pack of N elements
// a thread. Where no view has gaps between its rows, all is one row.
#pragma once

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

inline constexpr unsigned sheet_threads = 256;

struct Sheet {
  long long rows, columns;
  unsigned blocks_a_row;

  unsigned blocks() const { return static_cast<unsigned>(rows) * blocks_a_row; }
};

/// The sheet of views of one shape, for packs of N elements.
template <class... Views>
Sheet sheet_of(int N, const View& first, const Views&... others) {
  const bool whole = (first.contiguous() && ... && others.contiguous());
  Sheet s{.rows = whole ? 1 : first.rows(), .columns = whole ? first.shape.count() : first.cols(), .blocks_a_row = 0};
  s.blocks_a_row = blocks_for(s.columns, static_cast<long long>(N) * sheet_threads);
  return s;
}

/// The same, but rows stay apart: for kernels that must know a column.
inline Sheet sheet_of_rows(int N, const View& v) {
  return {.rows = v.rows(),
          .columns = v.cols(),
          .blocks_a_row = blocks_for(v.cols(), static_cast<long long>(N) * sheet_threads)};
}

/// The pack of the thread that asks.
struct Spot {
  long long row, column;
  bool inside;
};
template <int N>
__device__ inline Spot spot_of(const Sheet& s) {
  const unsigned block = blockIdx.x % s.blocks_a_row;
  const long long column = (static_cast<long long>(block) * sheet_threads + threadIdx.x) * N;
  return {blockIdx.x / s.blocks_a_row, column, column < s.columns};
}

template <class T>
__device__ inline T* at(const Matrix<T>& m, const Spot& spot) {
  return m[spot.row] + spot.column;
}

}  // namespace kernels::MAE_GPU
