// What the warps of a block of matmul_mma.cu do with a tile: bring it, multiply it, put its sums away.
#pragma once

#include "kernels/cuda/matmul_epilogue.cuh"
#include "kernels/cuda/mma.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 128;  // 2 x 2 warps
constexpr int step = 32;      // of K
constexpr int stages = 3;

/// A matrix as it is stored.
struct Operand {
  const bf16* data;
  long long stride;
  int rows, columns;
};

struct Product {
  Operand a, b;
  Epilogue end;
  unsigned row_tiles, column_tiles;
  int steps, steps_a_part;
  float* parts;        // (parts, rows, columns) of whole tiles; null: K is one part
  float* column_sums;  // (row tiles, N); null: not wanted
};

/// What a kernel is made for. `wide`: tiles come in packs of 16 bytes, else element by element.
template <int side, Layout a_layout, Layout b_layout, bool is_wide, Activation then = Activation::none>
struct Kind {
  static constexpr int tile = side, warp_tile = side / 2;
  static constexpr int down = warp_tile / 16, across = warp_tile / 8;  // fragments of a warp
  static constexpr bool a_by_rows = a_layout == Layout::plain, b_by_rows = b_layout == Layout::plain, wide = is_wide;
  static constexpr Activation activation = then;
  // GELU is long: there is one copy of it, and rows of fragments move up to it
  static constexpr int unrolled = activation == Activation::none ? down : 1;
  // of the tiles as they lie in shared memory, which is how they are stored
  static constexpr int a_rows = a_by_rows ? tile : step, a_columns = a_by_rows ? step : tile;
  static constexpr int b_rows = b_by_rows ? step : tile, b_columns = b_by_rows ? tile : step;
  static constexpr int a_pitch = pitch_of(a_columns), b_pitch = pitch_of(b_columns);
  static constexpr int a_elements = a_rows * a_pitch, stage = a_elements + b_rows * b_pitch;
};

/// Brings rows x columns elements from (row, column) on, zeros beyond the edges.
template <int rows, int columns, bool wide, class Shared>
__device__ void copy_tile(const Operand& from, int row, int column, Shared to) {
  constexpr int packs = columns / 8, apart = threads / packs, pitch = pitch_of(columns);
  const int r = static_cast<int>(threadIdx.x) / packs, c = static_cast<int>(threadIdx.x) % packs * 8;
  const int across = max(0, min(8, from.columns - column - c));  // elements of each pack that are there
  const bf16* source = from.data + (row + r) * from.stride + column + c;
#pragma unroll
  for (int i = 0; i < rows; i += apart) {
    const int count = row + r + i < from.rows ? across : 0;
    const auto at = to + ((r + i) * pitch + c);
    const bf16* pack = count > 0 ? source + i * from.stride : from.data;
    if constexpr (wide) {
      cp_async16_filled(at, pack, count * 2);
    } else {
      for (int j = 0; j < 8; ++j) at[j] = j < count ? pack[j] : bf16(0.0f);
    }
  }
}

/// sums += the products of one step: the warp's rows of tile_a from m on, its columns of tile_b from n on.
template <class K, class Shared>
__device__ void multiply(Shared tile_a, Shared tile_b, int m, int n, FragmentC (&sums)[K::down][K::across]) {
#pragma unroll
  for (int k = 0; k < step; k += 16) {
    FragmentA a[K::down];
    FragmentB b[K::across];
#pragma unroll
    for (int i = 0; i < K::down; ++i) {
      if constexpr (K::a_by_rows) a[i] = load_a(tile_a + ((m + 16 * i) * K::a_pitch + k), K::a_pitch);
      else a[i] = load_a_transposed(tile_a + (k * K::a_pitch + m + 16 * i), K::a_pitch);
    }
#pragma unroll
    for (int j = 0; j < K::across; j += 2) {
      if constexpr (K::b_by_rows) load_b_transposed(tile_b + (k * K::b_pitch + n + 8 * j), K::b_pitch, b[j], b[j + 1]);
      else load_b(tile_b + ((n + 8 * j) * K::b_pitch + k), K::b_pitch, b[j], b[j + 1]);
    }
#pragma unroll
    for (int i = 0; i < K::down; ++i) {
#pragma unroll
      for (int j = 0; j < K::across; ++j) mma(sums[i][j], a[i], b[j]);
    }
  }
}

/// Four lanes side by side have two columns each of four tiles c[0 ... 3], in the upper or lower half of rows; lane t
/// of them gets all 8 columns of tile t.
__device__ inline void side_by_side(const FragmentC* c, int half, float (&x)[8]) {
#pragma unroll
  for (int odd = 0; odd < 2; ++odd) {
    float column[4];
#pragma unroll
    for (int t = 0; t < 4; ++t) column[t] = c[t].at[2 * half + odd];
    turn(column);
#pragma unroll
    for (int t = 0; t < 4; ++t) x[2 * t + odd] = column[t];
  }
}

/// The sums of the warp's columns over its rows, then of both warps that share columns, go to a row of p.column_sums.
template <class K>
__device__ void store_column_sums(const Product& p, int row_tile, int column, float (&sum)[K::across / 4][8]) {
  auto sums = shared<float, 2 * K::tile, 0>();  // (warps one above the other, columns)
  const int t = static_cast<int>(threadIdx.x), lane = t % lanes;
  const int own = t / lanes / 2 * K::tile + t / lanes % 2 * K::warp_tile;
#pragma unroll
  for (int q = 0; q < K::across / 4; ++q) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      for (int offset = 4; offset < lanes; offset *= 2) sum[q][i] += __shfl_xor_sync(full_warp, sum[q][i], offset);
      if (lane < 4) sums[own + q * 32 + lane * 8 + i] = sum[q][i];
    }
  }
  __syncthreads();
  if (t >= K::tile || column + t >= p.end.N) return;
  const float upper = sums[t], lower = sums[K::tile + t];
  p.column_sums[static_cast<long long>(row_tile) * p.end.N + column + t] = upper + lower;
}

/// Where a lane has its 8 columns after side_by_side: fragments i from the top, q * 4 from the left.
__device__ inline int row_of(int i, int half) { return 16 * i + 8 * half + static_cast<int>(threadIdx.x) % lanes / 4; }
__device__ inline int column_of(int q) { return 32 * q + static_cast<int>(threadIdx.x) % 4 * 8; }

/// A part of K: the sums as they are, to scratch that has whole tiles.
template <class K>
__device__ void store_part(const Product& p, unsigned part, int m, int n, const FragmentC (&sums)[K::down][K::across]) {
  const long long rows = static_cast<long long>(p.row_tiles) * K::tile, columns = p.column_tiles * K::tile;
#pragma unroll
  for (int i = 0; i < K::down; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float* row = p.parts + (part * rows + m + row_of(i, half)) * columns + n;
#pragma unroll
      for (int q = 0; q < K::across / 4; ++q) {
        float x[8];
        side_by_side(sums[i] + 4 * q, half, x);
        write8(row + column_of(q), 8, true, x);
      }
    }
  }
}

/// All of K: the epilogue of the warp's sums.
template <class K>
__device__ void store_out(const Product& p, int row_tile, int n, int warp_m, int warp_n,
                          FragmentC (&sums)[K::down][K::across]) {
  float column_sum[K::across / 4][8] = {};
#pragma unroll K::unrolled
  for (int i = 0; i < K::down; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_tile * K::tile + warp_m + row_of(i, half);
      const bool inside = row < p.end.M;
#pragma unroll
      for (int q = 0; q < K::across / 4; ++q) {
        float x[8];
        side_by_side(sums[0] + 4 * q, half, x);
        finish<K::activation>(p.end, row, n + warp_n + column_of(q), x);
#pragma unroll
        for (int j = 0; j < 8; ++j) column_sum[q][j] += inside ? x[j] : 0.0f;
      }
    }
#pragma unroll
    for (int j = 0; j < (K::down - 1) * K::across; ++j)
      sums[j / K::across][j % K::across] = sums[j / K::across + 1][j % K::across];
  }
  if (p.column_sums) store_column_sums<K>(p, row_tile, n, column_sum);
}

}  // namespace
}  // namespace kernels::MAE_GPU
