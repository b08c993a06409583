// What the two kernels of row `short` share: how a head's rows come to shared memory, and how fragments and rows of
// global memory become each other, 16 bytes a lane.
#pragma once

#include <type_traits>

#include "kernels/attention.h"
#include "kernels/cuda/mma.cuh"

namespace kernels::MAE_GPU {

struct Short;  // the name of the row

constexpr float log2_e = 1.44269504f;

/// A block has one head of one sample: block b H + h.
struct ShortSizes {
  int Tq, T, H, warps;
  float scale;
};

/// One number for the warp, as the compiler sees it too: branches on it part no lanes.
__device__ inline int my_warp() { return __shfl_sync(full_warp, static_cast<int>(threadIdx.x) / lanes, 0); }

/// Row 0 of the block's head, in a matrix of `tokens` rows a sample.
template <int D, class T>
__device__ T* head_of(const Matrix<T>& x, const ShortSizes& s, int tokens) {
  const int block = anew(static_cast<int>(blockIdx.x));
  return x[static_cast<long long>(block / s.H) * tokens] + block % s.H * D;
}

/// Tells the block's threads to copy a head: `rows` rows, those from `valid` on zeros, `pitch` apart.
template <int D, class Tile>
__device__ void copy_head(Tile tile, int pitch, const bf16* head, long long stride, int valid, int rows, int threads) {
  constexpr int packs_a_row = D / 8;
  for (int i = static_cast<int>(threadIdx.x); i < rows * packs_a_row; i += threads) {
    const int r = i / packs_a_row, c = i % packs_a_row * 8;
    cp_async16_filled(tile + (r * pitch + c), head + ((r < valid ? r : 0) * stride + c), r < valid ? 16 : 0);
  }
}

// A lane's share of a 16 x 16 tile in global memory, 8 elements of one row: before turn, or after it, that is word
// lane % 4 of four lanes' FragmentA.
struct Share {
  int row, column;
};
__device__ inline Share my_share() {
  const int thread = anew(static_cast<int>(threadIdx.x));
  return {thread % lanes / 4 + thread % 2 * 8, thread % 4 / 2 * 8};
}

/// Rows first ... first + 15 of a head, those from `valid` on zeros, as fragments; not through shared memory.
template <int D>
__device__ void load_rows(FragmentA (&a)[D / 16], const bf16* head, long long stride, int first, int valid) {
  const Share share = my_share();
  const int row = first + share.row;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    a[i] = {};
    if (row < valid) {
      const bf16* from = head + (row * stride + i * 16 + share.column);
      require_aligned(from, 16);
      const auto pack = *reinterpret_cast<const Pack<unsigned, 4>*>(from);
#pragma unroll
      for (int w = 0; w < 4; ++w) a[i].at[w] = pack.at[w];
    }
  }
#pragma unroll
  for (int i = 0; i < D / 16; ++i) turn(a[i].at);
}

/// Writes factor * sums, 16 x D, to rows first ... first + 15 of a head that are below `valid`.
template <int D>
__device__ void store_rows(const FragmentC (&sums)[D / 8], float low_factor, float high_factor, bf16* head,
                           long long stride, int first, int valid) {
  const Share share = my_share();
  const int row = first + share.row;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    const auto &l = sums[2 * i].at, &r = sums[2 * i + 1].at;
    FragmentA a = as_a({l[0] * low_factor, l[1] * low_factor, l[2] * high_factor, l[3] * high_factor},
                       {r[0] * low_factor, r[1] * low_factor, r[2] * high_factor, r[3] * high_factor});
    turn(a.at);
    if (row >= valid) continue;
    bf16* to = head + (row * stride + i * 16 + share.column);
    require_aligned(to, 16);
    store_pack(reinterpret_cast<Pack<unsigned, 4>*>(to), {a.at[0], a.at[1], a.at[2], a.at[3]});
  }
}

/// What both refuse, whatever the sizes.
template <class Args>
const char* short_refuses(const Args& a) {
  const AttentionSizes s = sizes_of(a);
  if (a.q.dtype != DType::bf16) return "this row has bf16";
  if (s.D % 16 != 0 || s.D > 80) return "this row has heads of 16, 32, 48, 64 and 80 elements";
  if (!wide<bf16>(a, s.H * s.D)) return "this row moves 16 bytes at once, and a view does not allow it";
  if (!(a.scale > 0)) return "this row has a scale above zero";
  if (s.Tq > 1 << 20) return "this row has up to a million queries";
  return nullptr;
}

/// f(D as a constant)
template <class F>
auto visit_head(std::int64_t D, F&& f) {
  switch (D) {
    case 16:
      return f(std::integral_constant<int, 16>{});
    case 32:
      return f(std::integral_constant<int, 32>{});
    case 48:
      return f(std::integral_constant<int, 48>{});
    case 64:
      return f(std::integral_constant<int, 64>{});
    default:
      return f(std::integral_constant<int, 80>{});
  }
}

inline int tiles_of(std::int64_t tokens) { return static_cast<int>((tokens + 15) / 16); }

/// The fewest warps, of at most `most`, that need no more rounds for `tiles` tiles than `most` would.
inline int even_warps(int tiles, int most) {
  const int rounds = (tiles + most - 1) / most;
  return (tiles + rounds - 1) / rounds;
}

}  // namespace kernels::MAE_GPU
