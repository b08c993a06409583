// Tensor cores, for kernels that multiply bf16 tiles: which element a lane holds, and how tiles get from shared memory
// into fragments. The words themselves, mma and ldmatrix4, are in nvcc.cuh, their twins for simt in
// kernels/simt/words.h. All 32 lanes of a warp come to each of these functions together.
//
//     auto a = load_a(tile_a, pitch);                 // 16 x 16, rows of a
//     FragmentB b[2];
//     load_b(tile_b, pitch, b[0], b[1]);              // 16 x 16 as two 16 x 8, stored by columns of b: b[n][k]
//     mma(c[0], a, b[0]), mma(c[1], a, b[1]);         // 16 x 16 of c
//
// A tile is named by its first element; `pitch` is the distance of its rows, in elements. Each lane points to 8
// elements of one row, which start at a multiple of 16 bytes.
#pragma once

#include "kernels/core/fragments.h"
#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

/// Elements between rows of a bf16 tile in shared memory. ldmatrix reads 8 rows of 16 bytes at once, from all 32 banks
/// if the rows start an odd number of 16 bytes apart.
constexpr int pitch_of(int columns) { return columns / 8 % 2 == 0 ? columns + 8 : columns; }

/// Row and column of element i of a lane's FragmentC, in its 16 x 8 tile.
__device__ inline int row_of_c(int i) { return static_cast<int>(threadIdx.x) % lanes / 4 + i / 2 * 8; }
__device__ inline int column_of_c(int i) { return static_cast<int>(threadIdx.x) % 4 * 2 + i % 2; }

/// A 16 x 16 tile of a, stored by rows: tile[m][k].
template <class Tile>
__device__ inline FragmentA load_a(Tile tile, int pitch) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  FragmentA a;
  ldmatrix4(a.at, tile + (lane % 16 * pitch + lane / 16 * 8));
  return a;
}

/// The same, stored by columns: tile[k][m].
template <class Tile>
__device__ inline FragmentA load_a_transposed(Tile tile, int pitch) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  FragmentA a;
  ldmatrix4_transposed(a.at, tile + ((lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8));
  return a;
}

/// 16 x 16 of b, columns 0 ... 7 and 8 ... 15, stored by columns: tile[n][k], as rows of a weight are.
template <class Tile>
__device__ inline void load_b(Tile tile, int pitch, FragmentB& left, FragmentB& right) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  unsigned words[4];
  ldmatrix4(words, tile + ((lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8));
  left = {words[0], words[1]};
  right = {words[2], words[3]};
}

/// The same, stored by rows: tile[k][n].
template <class Tile>
__device__ inline void load_b_transposed(Tile tile, int pitch, FragmentB& left, FragmentB& right) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  unsigned words[4];
  ldmatrix4_transposed(words, tile + (lane % 16 * pitch + lane / 16 * 8));
  left = {words[0], words[1]};
  right = {words[2], words[3]};
}

/// Sums become an operand, rounded to bf16: 16 x 16 of c, as two fragments side by side, are a tile of a. A lane keeps
/// what it has.
__device__ inline FragmentA as_a(const FragmentC& left, const FragmentC& right) {
  return {bf16_pair(left.at[0], left.at[1]), bf16_pair(left.at[2], left.at[3]), bf16_pair(right.at[0], right.at[1]),
          bf16_pair(right.at[2], right.at[3])};
}

/// Four words of four neighbouring lanes, transposed: word i of lane j becomes word j of lane i.
template <class Word>
__device__ void turn(Word (&words)[4]) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = (static_cast<int>(threadIdx.x) & bit) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      Word &low = words[i], &high = words[i | bit];
      const Word got = __shfl_xor_sync(full_warp, upper ? low : high, bit);
      low = upper ? got : low;
      high = upper ? high : got;
    }
  }
}

}  // namespace kernels::MAE_GPU
