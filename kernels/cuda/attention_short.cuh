// What the two kernels of row `short` share: how a head's rows come to shared memory, and how fragments and rows of
// global memory become each other, 16 bytes a lane.
#pragma once

#include <type_traits>

#include "kernels/attention.h"
#include "kernels/cuda/mma.cuh"

namespace kernels::MAE_GPU {

struct Short;  // the name of the row

constexpr float log2_e = 1.44269504f;

/// n / by, for n below 2^31, by a product: a division takes a warp about 20 instructions.
struct Divisor {
  int by, shift;
  unsigned factor;  // 2^shift / by, rounded up
  __device__ int operator()(int n) const {
    return static_cast<int>(static_cast<unsigned long long>(static_cast<unsigned>(n)) * factor >> shift);
  }
};
inline Divisor divisor(std::int64_t by) {
  int shift = 31;
  while ((std::int64_t{1} << (shift - 31)) < by) ++shift;
  return {.by = static_cast<int>(by),
          .shift = shift,
          .factor = static_cast<unsigned>(((std::int64_t{1} << shift) + by - 1) / by)};
}

struct ShortSizes {
  int Tq, T;
  Divisor H;
  int warps;
  float scale;
};

/// The thread's number, lane and warp, made where they are needed. None has a sign: that spares instructions.
__device__ inline unsigned my_thread() { return static_cast<unsigned>(anew(static_cast<int>(threadIdx.x))); }
__device__ inline int my_lane() { return static_cast<int>(my_thread() % lanes); }
__device__ inline int warp_number() { return static_cast<int>(my_thread() / lanes); }

/// One number for the warp, as the compiler sees it too: branches on it part no lanes.
__device__ inline int my_warp() { return __shfl_sync(full_warp, warp_number(), 0); }

/// Which element of a 16 x 16 tile this lane points to, as load_a and load_b_transposed do,
__device__ inline int point_down(int pitch) {
  const int lane = my_lane();
  return lane % 16 * pitch + lane / 16 * 8;
}
/// and as load_b and load_a_transposed do.
__device__ inline int point_across(int pitch) {
  const int lane = my_lane();
  return (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8;
}

/// Row 0 of a head, which is head h = number % H of sample number / H, in a matrix of `tokens` rows a sample.
template <int D, class T>
__device__ T* head_of(const Matrix<T>& x, const ShortSizes& s, int tokens, int number = static_cast<int>(blockIdx.x)) {
  const int sample = s.H(anew(number));
  return x[static_cast<long long>(sample) * tokens] + (number - sample * s.H.by) * D;
}

/// Tells warps 0 ... warps - 1 to copy rows 0 ... rows - 1 from global memory, those from `valid` on zeros, to rows
/// `pitch` apart. A warp takes as many whole rows at a time as it has lanes for, 16 bytes a lane.
template <int D, class Tile>
__device__ void copy_rows(Tile tile, int pitch, const bf16* from, long long stride, int valid, int rows, int warp,
                          int warps) {
  constexpr int packs = D / 8, at_once = lanes / packs;
  const int lane = my_lane();
  if (lane >= packs * at_once) return;  // 2 lanes where D is 48 or 80
  int row = warp * at_once + lane / packs;
  const int step = warps * at_once, to_step = step * pitch;
  const long long from_step = step * stride;
  int to = row * pitch + lane % packs * 8;
  from += row * stride + lane % packs * 8;
  for (; row < rows; row += step, to += to_step, from += from_step)
    cp_async16_filled(tile + to, from, row < valid ? 16 : 0);
}

// A lane's share of a 16 x 16 tile in global memory, 8 elements of one row: before turn, or after it, that is word
// lane % 4 of four lanes' FragmentA.
struct Share {
  int row, column;
};
__device__ inline Share my_share() {
  const int lane = my_lane();
  return {lane / 4 + lane % 2 * 8, lane % 4 / 2 * 8};
}

/// Rows first ... first + 15 of a head, those from `valid` on zeros, not through shared memory: fragments once turned.
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
}
template <int N>
__device__ void turn_rows(FragmentA (&a)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) turn(a[i].at);
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
