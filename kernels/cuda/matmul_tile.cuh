// What the warps of a block of matmul_mma.cu do with a tile: bring it, multiply it, put its sums away.
#pragma once

#include "kernels/cuda/matmul_epilogue.cuh"
#include "kernels/cuda/mma.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 128;  // 2 x 2 warps
constexpr int step = 32;      // of K: two times 16
constexpr int stages = 4;

/// That run at once.
constexpr int blocks_an_sm(int tile) { return tile == 128 ? 2 : 4; }

/// A matrix as it is stored.
struct Operand {
  const bf16* data;
  long long stride;
  int rows, columns;
};

struct Product {
  Operand a, b;
  Epilogue end;  // where K has parts: of their sums, whole tiles, the parts one above the other
  unsigned row_tiles, column_tiles;
  int steps, steps_a_part;
  float* column_sums;  // (row tiles, N); null: not wanted
};

/// What a kernel is made for. `wide`: tiles come in packs of 16 bytes, else element by element.
template <int side, Layout a_layout, Layout b_layout, bool is_wide, Activation then = Activation::none>
struct Kind {
  static constexpr int tile = side, warp_tile = side / 2;
  static constexpr int down = warp_tile / 16, across = warp_tile / 8;  // fragments of a warp
  static constexpr bool a_by_rows = a_layout == Layout::plain, b_by_rows = b_layout == Layout::plain, wide = is_wide;
  static constexpr Activation activation = then;
  // rows that a thread finishes at once, so that what they read is under way together; of GELU, long as it is, few
  static constexpr int together = activation == Activation::none ? 4 : activation == Activation::gelu ? 1 : 2;
  // of the tiles as they lie in shared memory, which is how they are stored
  static constexpr int a_rows = a_by_rows ? tile : step, a_columns = a_by_rows ? step : tile;
  static constexpr int b_rows = b_by_rows ? step : tile, b_columns = b_by_rows ? tile : step;
  static constexpr int a_pitch = pitch_of(a_columns), b_pitch = pitch_of(b_columns);
  static constexpr int a_elements = a_rows * a_pitch, stage = a_elements + b_rows * b_pitch;
  // of the sums, which lie there when the last stage is used up: of 8 columns, four are in the left half of a row and
  // four in the right one. So packs of 16 bytes lie side by side, and both reads and a warp's pairs go to all 32 banks
  static constexpr int right_half = tile / 2 + 4, sum_pitch = tile + 8;
  static_assert(tile * sum_pitch * sizeof(float) <= stages * stage * sizeof(bf16));
};

/// A thread's packs of 8 elements of one operand's tiles, a tile for each step of K, with zeros beyond the edges. All
/// that a step does not change is made before the first one.
template <int rows, int columns, bool wide>
struct Source {
  static constexpr int packs = columns / 8, apart = threads / packs, pitch = pitch_of(columns);
  static constexpr bool k_across = columns == step;

  const bf16* from;             // the first of the thread's packs in the next tile
  long long stride;             // between rows
  int rows_left, columns_left;  // from there to the edges
  int own;                      // where it goes in the tile

  __device__ Source(const Operand& operand, int row, int column) {
    const int r = static_cast<int>(threadIdx.x) / packs, c = static_cast<int>(threadIdx.x) % packs * 8;
    from = operand.data + (row + r) * operand.stride + column + c;
    stride = operand.stride;
    rows_left = operand.rows - row - r, columns_left = operand.columns - column - c;
    own = r * pitch + c;
  }

  template <class Shared>
  __device__ void bring(Shared tile) {
#pragma unroll
    for (int i = 0; i < rows; i += apart) {
      const bool there = i < rows_left && columns_left > 0;
      const auto to = tile + (own + i * pitch);
      const bf16* pack = from + i * stride;
      if constexpr (wide) {
        cp_async16_filled(to, pack, there ? 16 : 0);
      } else {
        for (int j = 0; j < 8; ++j) to[j] = there && j < columns_left ? pack[j] : bf16(0.0f);
      }
    }
    from += k_across ? step : step * stride;
    (k_across ? columns_left : rows_left) -= step;
  }
};

/// What a warp multiplies at once: its rows of a, its columns of b, 16 of K.
template <class K>
struct Fragments {
  FragmentA a[K::down];
  FragmentB b[K::across];

  /// From row m of the stage's tile of a, column n of its tile of b.
  template <class Shared>
  __device__ void load(Shared stage, int m, int n, int k) {
    const auto tile_a = stage, tile_b = stage + K::a_elements;
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
  }

  __device__ void multiply(FragmentC (&sums)[K::down][K::across]) const {
#pragma unroll
    for (int i = 0; i < K::down; ++i) {
#pragma unroll
      for (int j = 0; j < K::across; ++j) mma(sums[i][j], a[i], b[j]);
    }
  }
};

/// A warp's sums, from its fragments to its place in the block's tile.
template <class K, class Shared>
__device__ void put_sums(Shared tile, int m, int n, const FragmentC (&sums)[K::down][K::across]) {
  const int row = m + row_of_c(0), column = column_of_c(0);
  const auto own = tile + (row * K::sum_pitch + n / 2 + column / 4 * K::right_half + column % 4);
#pragma unroll
  for (int i = 0; i < K::down; ++i) {
#pragma unroll
    for (int j = 0; j < K::across; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) own[(16 * i + e / 2 * 8) * K::sum_pitch + 4 * j + e % 2] = sums[i][j].at[e];
    }
  }
}

/// The epilogue of a tile that begins at (m, n) of out: a thread has 8 columns, and every `apart`-th row of them.
template <class K, class Shared>
__device__ void store_out(const Product& p, Shared tile, int m, int n) {
  constexpr int packs = K::tile / 8, apart = threads / packs, together = K::together;
  const int t = static_cast<int>(threadIdx.x), c = t % packs * 8, rows = min(K::tile, p.end.M - m);
  float column_sum[8] = {};
#pragma unroll 1
  for (int row = t / packs; row < rows; row += together * apart) {
    float x[together][8];
#pragma unroll
    for (int i = 0; i < together * 8; ++i)
      x[i / 8][i % 8] = tile[(row + i / 8 * apart) * K::sum_pitch + t % packs * 4 + i / 4 % 2 * K::right_half + i % 4];
    int at[together];
#pragma unroll
    for (int i = 0; i < together; ++i) at[i] = m + row + i * apart;
    finish<K::activation>(p.end, at, n + c, x);
#pragma unroll
    for (int i = 0; i < together * 8; ++i) column_sum[i % 8] += row + i / 8 * apart < rows ? x[i / 8][i % 8] : 0.0f;
  }
  if (!p.column_sums) return;

  __syncthreads();  // before sums of columns overwrite the tile
#pragma unroll
  for (int i = 0; i < 8; ++i) tile[t / packs * K::tile + c + i] = column_sum[i];
  __syncthreads();
  if (t >= K::tile || n + t >= p.end.N) return;
  float sum = 0.0f;
  for (int i = 0; i < apart; ++i) sum += tile[i * K::tile + t];
  p.column_sums[static_cast<long long>(m / K::tile) * p.end.N + n + t] = sum;
}

}  // namespace
}  // namespace kernels::MAE_GPU
