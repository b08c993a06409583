// What the kernels of row `flash` share. A block holds some rows of one head, as fragments of A in registers, and
// streams the others past them, 64 at a time, through two slots of shared memory. Held and streamed are pairs of
// matrices:
//     forward        q              past   k, v
//     dq             q, dout        past   k, v
//     dk, dv         k, v           past   q, dout
//
// Dynamic shared memory, in rows of pitch_of(D) elements of bf16, zeros where a row or a head ends:
//     slot 0: 64 rows of one streamed matrix, 64 of the other | slot 1: the same
// What is held comes through slot 1 (and rows behind it, if that is too small), before anything is streamed there.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/attention.h"
#include "kernels/cuda/mma.cuh"

namespace kernels::MAE_GPU::flash {

constexpr int warps = 4, threads = warps * lanes;
constexpr int streamed = 64;  // rows of a streamed block
constexpr float log2_e = 1.44269504088896341f, ln_2 = 0.693147180559945309f;

/// Tiles of 16 held rows that a warp has: with two, a fragment of B that was fetched from shared memory is used twice.
constexpr int tiles_of(int D, int widest_of_two) { return D <= widest_of_two ? 2 : 1; }
constexpr int held_rows(int tiles) { return warps * tiles * 16; }
constexpr int slot_elements(int D) { return 2 * streamed * pitch_of(D); }
constexpr std::size_t shared_bytes(int D, int held) {
  return static_cast<std::size_t>((2 * streamed + std::max(2 * streamed, held)) * pitch_of(D)) * sizeof(bf16);
}

struct Heads {
  int Tq, T, H, D;
  int blocks;   // of a head: blockIdx.x = (b H + h) blocks + block
  float scale;  // of scores
};

/// What a block works on: rows from `first` on of head h of sample b.
struct Block {
  int b, h, first;
};
__device__ inline Block block_of(const Heads& s, int held) {
  const int head = static_cast<int>(blockIdx.x) / s.blocks;
  return {head / s.H, head % s.H, static_cast<int>(blockIdx.x) % s.blocks * held};
}
/// Rows of one head and sample, of a (B, rows, C) matrix: its first element.
template <class T>
__device__ T* head_of(const Matrix<T>& x, const Heads& s, const Block& p, int rows) {
  return x[static_cast<long long>(p.b) * rows] + p.h * s.D;
}

/// Starts to copy rows `first` ... of a head to a tile of `count` rows of D; zeros behind row `rows` and column
/// `width`.
template <int D, int count, class Tile>
__device__ void copy_rows(Tile tile, const bf16* head, long long stride, int first, int rows, int width) {
  constexpr int packs = D / 8;
#pragma unroll 1  // unrolled, its pointers take registers that D = 64 does not have
  for (int i = threadIdx.x; i < count * packs; i += threads) {
    const int r = i / packs, at = i % packs * 8;
    const bool there = first + r < rows && at < width;
    cp_async16_filled(tile + (r * pitch_of(D) + at), there ? head + (first + r) * stride + at : head, there ? 16 : 0);
  }
}

/// Two matrices of one head that belong together.
struct Pair {
  const bf16 *x, *y;
  long long x_stride, y_stride;
  int rows, width;
};
template <int D, int count, class Tile>
__device__ void copy_pair(Tile tile, const Pair& p, int first) {
  copy_rows<D, count>(tile, p.x, p.x_stride, first, p.rows, p.width);
  copy_rows<D, count>(tile + count * pitch_of(D), p.y, p.y_stride, first, p.rows, p.width);
}

/// Walks over `rows` streamed rows, of which the first block is already on its way to slot 0. copy(slot, first) starts
/// the next copy, while work(slot, first, tail) has a block that is there. The one barrier of a step stands behind the
/// wait, so that every thread sees all copies, and nobody is still reading what the next copy overwrites.
template <class Copy, class Work>
__device__ void stream(int rows, Copy copy, Work work) {
  for (int first = 0, slot = 0; first < rows; first += streamed, slot ^= 1) {
    cp_async_wait<0>();
    __syncthreads();
    if (first + streamed < rows) copy(slot ^ 1, first + streamed);
    cp_async_commit();
    first + streamed <= rows ? work(slot, first, std::false_type{}) : work(slot, first, std::true_type{});
  }
}

/// The warp's held rows, from a tile that starts with the block's first row.
template <int D, int tiles, class Tile>
__device__ void load_held(FragmentA (&held)[tiles][D / 16], Tile tile) {
  const int warp = static_cast<int>(threadIdx.x) / lanes;
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
      held[m][k] = load_a(tile + ((warp * tiles + m) * 16 * pitch_of(D) + k * 16), pitch_of(D));
  }
}

/// c[m] += held[m] tile^T, for 16 rows of a streamed tile: all of D is summed over.
template <int D, int tiles, class Tile>
__device__ void multiply_transposed(FragmentC (&c)[tiles][2], const FragmentA (&held)[tiles][D / 16], Tile tile) {
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    FragmentB b[2];
    load_b(tile + k * 16, pitch_of(D), b[0], b[1]);
#pragma unroll
    for (int m = 0; m < tiles; ++m) mma(c[m][0], held[m][k], b[0]), mma(c[m][1], held[m][k], b[1]);
  }
}

/// c[m] += a[m] tile, for 16 rows of a streamed tile, which are summed over.
template <int D, int tiles, class Tile>
__device__ void multiply(FragmentC (&c)[tiles][D / 8], const FragmentA (&a)[tiles], Tile tile) {
#pragma unroll
  for (int n = 0; n < D / 16; ++n) {
    FragmentB b[2];
    load_b_transposed(tile + n * 16, pitch_of(D), b[0], b[1]);
#pragma unroll
    for (int m = 0; m < tiles; ++m) mma(c[m][2 * n], a[m], b[0]), mma(c[m][2 * n + 1], a[m], b[1]);
  }
}

/// A row of c lives in four lanes.
__device__ inline float quad_sum(float value) {
  value += __shfl_xor_sync(full_warp, value, 1);
  return value + __shfl_xor_sync(full_warp, value, 2);
}
__device__ inline float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(full_warp, value, 1));
  return fmaxf(value, __shfl_xor_sync(full_warp, value, 2));
}

/// Row lane / 4 + 8 half of 16 rows of sums, times `factor`, as bf16. Of four 8-column pieces of a row each lane has
/// two columns; they are dealt out so that it has one whole piece, 16 bytes. `to`: the row; null: it does not exist.
template <int D>
__device__ void write_row(const FragmentC (&c)[D / 8], int half, float factor, bf16* to, int width) {
#pragma unroll
  for (int piece = 0; piece < D / 8; piece += 4) {
    unsigned word[4];
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      word[n] = 0;
      if (piece + n < D / 8) {
        const float* at = c[piece + n < D / 8 ? piece + n : 0].at + 2 * half;
        word[n] = bf16_pair(at[0] * factor, at[1] * factor);
      }
    }
    turn(word);
    const int column = (piece + static_cast<int>(threadIdx.x) % 4) * 8;
    if (!to || column >= width) continue;
    Pack<bf16, 8> pack;
    memcpy(&pack, word, sizeof pack);
    require_aligned(to + column, sizeof pack);
    store_pack(reinterpret_cast<Pack<bf16, 8>*>(to + column), pack);
  }
}

/// The warp's rows of a head of (B, rows, C), from tiles of sums.
template <int D, int tiles>
__device__ void write_held(const FragmentC (&c)[tiles][D / 8], float factor, bf16* head, long long stride, int first,
                           int rows, int width) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + m * 16 + row_of_c(2 * half);
      write_row<D>(c[m], half, factor, row < rows ? head + row * stride : nullptr, width);
    }
  }
}

template <class Args>
Heads heads_of(const Args& a, std::int64_t rows, int held) {
  const AttentionSizes s = sizes_of(a);
  return {.Tq = static_cast<int>(s.Tq),
          .T = static_cast<int>(s.T),
          .H = static_cast<int>(s.H),
          .D = static_cast<int>(s.D),
          .blocks = static_cast<int>(blocks_for(rows, held)),
          .scale = static_cast<float>(a.scale)};
}

/// f(the size that D is padded to, as a type).
template <class F>
void visit_head(std::int64_t D, F f) {
  if (D <= 32) return f(std::integral_constant<int, 32>{});
  if (D <= 64) return f(std::integral_constant<int, 64>{});
  if (D <= 80) return f(std::integral_constant<int, 80>{});
  f(std::integral_constant<int, 128>{});
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  const AttentionSizes s = sizes_of(a);
  if (a.q.dtype != DType::bf16) return "this row has bf16 only";
  if (s.D % 8 != 0 || s.D > 128) return "this row has heads of 8, 16, 24 ... 128 elements";
  if (!wide<bf16>(a, s.H * s.D)) return "this row needs rows that start at a multiple of 16 bytes";
  return a.scale > 0 ? nullptr : "this row needs a scale above zero";
}

}  // namespace kernels::MAE_GPU::flash

namespace kernels::MAE_GPU {
struct Flash;  // the row's name
}
