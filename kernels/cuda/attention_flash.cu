// Row `flash`, forward: bf16 on tensor cores, any number of queries and keys, heads of 8, 16 ... 128 elements.
//
// grid    B H blocks of queries: 128 where D <= 64, else 64
// block   4 warps. A warp owns 2 tiles of 16 queries (1 where D > 64): their q as fragments, their sums of out, and of
//         each query the largest score so far and the sum of powers, in registers from the first key to the last.
//         Keys and values stream past, 64 at a time; the next 64 are copied by cp.async while these are multiplied.
// shared  256 rows of pitch_of(D) elements, dynamic: 20 KiB (D = 32), 36 (64), 44 (80), 68 (128)
// bytes   q and out once; k and v once for each block of queries of their head, after the first time mostly from L2.
//         The least is all four once.
// Registers, sm_80 / sm_90a: 155 / 174 (D = 32), 240 / 249 (64), 136 / 141 (80), 174 / 179 (128); no spills.
//
// Powers are of two: with s' = log2(e) scale q k^T, exp(scale q k^T - most) is 2^(s' - most'), one instruction.
// A query's output equals     p = softmax(scale * q k^T);   out = sum over j of p[j] v[j]
#include "kernels/cuda/attention_flash.cuh"

namespace kernels::MAE_GPU {
namespace {

using namespace flash;

constexpr int forward_tiles(int D) { return tiles_of(D, 64); }

/// What a warp keeps of its queries: 2 rows a tile in each lane, rows lane / 4 and lane / 4 + 8.
template <int D, int tiles>
struct Queries {
  FragmentA q[tiles][D / 16];
  FragmentC out[tiles][D / 8];  // not yet divided by the sum
  float most[tiles][2];         // largest score so far, in powers of two: scale log2(e) q k^T
  float sum[tiles][2];          // of 2^(score - most), in this lane's columns
};

template <int D, int tiles>
__device__ void clear(Queries<D, tiles>& a) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int n = 0; n < D / 8; ++n) a.out[m][n] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) a.most[m][half] = -INFINITY, a.sum[m][half] = 0;
  }
}

/// Scores of keys that do not exist: -infinity.
template <int tiles>
__device__ void hide_behind(int left, FragmentC (&s)[tiles][streamed / 8]) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int n = 0; n < streamed / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) s[m][n].at[i] = n * 8 + column_of_c(i) < left ? s[m][n].at[i] : -INFINITY;
    }
  }
}

/// s = q k^T, not scaled, of 64 keys; in the tail only `left` are there.
template <bool tail, int D, int tiles, class Tile>
__device__ void make_scores(FragmentC (&s)[tiles][streamed / 8], const Queries<D, tiles>& a, Tile keys, int left) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int n = 0; n < streamed / 8; ++n) s[m][n] = {};
  }
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
#pragma unroll
    for (int n = 0; n < streamed / 16; ++n) {
      if (tail && n * 16 >= left) continue;
      FragmentB b[2];
      load_b(keys + (n * 16 * pitch_of(D) + k * 16), pitch_of(D), b[0], b[1]);
#pragma unroll
      for (int m = 0; m < tiles; ++m) mma(s[m][2 * n], a.q[m][k], b[0]), mma(s[m][2 * n + 1], a.q[m][k], b[1]);
    }
  }
  if constexpr (tail) hide_behind(left, s);
}

/// The largest score of these keys too; what was summed before is scaled down where it grows.
template <int D, int tiles>
__device__ void raise_most(Queries<D, tiles>& a, const FragmentC (&s)[tiles][streamed / 8], float scale) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < streamed / 8; ++n) top = fmaxf(top, fmaxf(s[m][n].at[2 * half], s[m][n].at[2 * half + 1]));
      const float most = fmaxf(a.most[m][half], scale * quad_max(top));
      const float keep = exp2_fast(a.most[m][half] - most);  // 0 at first
      a.most[m][half] = most;
      a.sum[m][half] *= keep;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) a.out[m][n].at[2 * half] *= keep, a.out[m][n].at[2 * half + 1] *= keep;
    }
  }
}

/// out += 2^(score - most) v and sum += 2^(score - most), 16 keys at a time: the next ones' powers are made while the
/// tensor cores multiply.
template <bool tail, int D, int tiles, class Tile>
__device__ void add_values(Queries<D, tiles>& a, const FragmentC (&s)[tiles][streamed / 8], Tile values, int left,
                           float scale) {
#pragma unroll
  for (int n = 0; n < streamed / 16; ++n) {
    if (tail && n * 16 >= left) continue;
    FragmentA p[tiles];
#pragma unroll
    for (int m = 0; m < tiles; ++m) {
      FragmentC c[2];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float power = exp2_fast(scale * s[m][2 * n + i / 4].at[i % 4] - a.most[m][i % 4 / 2]);
        a.sum[m][i % 4 / 2] += power;
        c[i / 4].at[i % 4] = power;
      }
      p[m] = as_a(c[0], c[1]);
    }
    multiply<D>(a.out, p, values + n * 16 * pitch_of(D));
  }
}

template <int D, int tiles>
__device__ void finish(Queries<D, tiles>& a, int first, int Tq, int width, bf16* out, long long stride, float* lse) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = quad_sum(a.sum[m][half]);
      const int t = first + m * 16 + row_of_c(2 * half);
      write_row<D>(a.out[m], half, 1 / sum, t < Tq ? out + t * stride : nullptr, width);
      if (lse && t < Tq && threadIdx.x % 4 == 0) lse[t] = ln_2 * (a.most[m][half] + log2f(sum));
    }
  }
}

template <int D>
__global__ void __launch_bounds__(threads) forward_kernel(Heads s, Matrix<const bf16> q, Matrix<const bf16> k,
                                                          Matrix<const bf16> v, Matrix<bf16> out, Matrix<float> lse) {
  constexpr int tiles = forward_tiles(D);
  const Block p = block_of(s, held_rows(tiles));
  const Pair pair{head_of(k, s, p, s.T), head_of(v, s, p, s.T), k.stride, v.stride, s.T, s.D};
  auto memory = dynamic_shared<bf16>();
  const auto copy = [&](int slot, int first) { copy_pair<D, streamed>(memory + slot * slot_elements(D), pair, first); };
  copy_rows<D, held_rows(tiles)>(memory + slot_elements(D), head_of(q, s, p, s.Tq), q.stride, p.first, s.Tq, s.D);
  copy(0, 0);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();

  Queries<D, tiles> a;
  load_held<D>(a.q, memory + slot_elements(D));
  clear(a);
  const int first_query = p.first + static_cast<int>(threadIdx.x) / lanes * tiles * 16;
  const bool busy = first_query < s.Tq;  // a warp without queries only copies
  stream(s.T, copy, [&](int slot, int first, auto tail) {
    if (!busy) return;
    auto keys = memory + slot * slot_elements(D);
    FragmentC scores[tiles][streamed / 8];
    make_scores<decltype(tail)::value>(scores, a, keys, s.T - first);
    raise_most(a, scores, log2_e * s.scale);
    add_values<decltype(tail)::value>(a, scores, keys + streamed * pitch_of(D), s.T - first, log2_e * s.scale);
  });
  if (!busy) return;
  float* statistics = lse.data ? lse[static_cast<long long>(p.b) * s.H + p.h] : nullptr;
  finish(a, first_query, s.Tq, s.D, head_of(out, s, p, s.Tq), out.stride, statistics);
}

void forward_run(Stream& stream, const AttentionForward& a, void*) {
  const AttentionSizes sizes = sizes_of(a);
  visit_head(sizes.D, [&]<int D>(std::integral_constant<int, D>) {
    constexpr int held = held_rows(forward_tiles(D));
    const Heads s = heads_of(a, sizes.Tq, held);
    const Grid grid{static_cast<unsigned>(sizes.B * sizes.H * s.blocks), threads, shared_bytes(D, held)};
    run_kernel(stream, grid, forward_kernel<D>, s, matrix<const bf16>(a.q), matrix<const bf16>(a.k),
               matrix<const bf16>(a.v), matrix<bf16>(a.out), matrix<float>(a.lse));
  });
}

}  // namespace
}  // namespace kernels::MAE_GPU

namespace kernels {

template <>
Variant<AttentionForward> row<MAE_GPU::Flash, AttentionForward>() {
  return {.name = "flash", .refuses = MAE_GPU::flash::refuses<AttentionForward>, .run = MAE_GPU::forward_run};
}

}  // namespace kernels
