// Attention of few tokens, forward, in bf16: row `short`. A block has one head of one sample.
//
// grid      (B H) blocks of 4 to 7 warps. A warp takes 16 queries at a time: T = 50 is 4 warps of one tile, 197 7 warps
//           of two, 257 6 of three, the 147 masked queries of 197 tokens 5 of two.
// shared    k and v of the head by cp.async, zeros behind T: 18,432 bytes for T = 50, D = 64, 28,160 for 65, 80, 33,280
//           for 197, 32, 43,520 for 257, 32. v is still under way while scores are made. q goes to fragments directly.
// thread    the whole rows of scores of its warp's 16 queries, two rows to four lanes: T / 2 floats, 132 for T = 257.
//           So the largest score is known before the first exp, and nothing is scaled down later. Then p, in bf16, is
//           an operand where it stands (as_a), of p v and of p times a column of ones, which is its sum: out is divided
//           by the sum of what was multiplied, and the lanes need not add up.
// registers (sm_80 / sm_90a), and warps a multiprocessor, whose quarters have 16,384 each, for whole warps:
//           T = 50, D = 64: 91 / 95, 20. 65, 80: 106 / 116, 15. 197, 32: 128 / 128, 14. 257, 32: 166 / 168, 12.
//           197, 64: 163 / 166, 12.
// waste     keys come in tiles of 8 and queries in tiles of 16: 64 x 56 for 50 x 50, 80 x 72 for 65 x 65, 208 x 200 for
//           197 x 197, 272 x 264 for 257 x 257. Other T pay for the next of these sizes.
// bytes     q, k and v read once, out written once, 16 bytes a lane: the least possible.
//
// A head's output equals     p = softmax(scale * q k^T);   out = p v;   lse = log of the sum of exp(scale * q k^T)
#include "kernels/cuda/attention_short.cuh"

namespace kernels::MAE_GPU {
namespace {

/// Up to 8 Tiles keys; a block has up to Warps warps, and at least Blocks blocks fit one multiprocessor's registers.
template <int Tiles, int Warps, int Blocks>
struct Keys {
  static constexpr int tiles = Tiles, warps = Warps, blocks = Blocks;
  static constexpr int pairs = (tiles + 1) / 2;  // products of p and v take 16 keys at once
};
constexpr int most_keys = 8 * 33;

struct Forward {
  Matrix<const bf16> q, k, v;
  Matrix<bf16> out;
  Matrix<float> lse;
};

/// Over the four lanes that share a row.
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(full_warp, x, 1));
  return fmaxf(x, __shfl_xor_sync(full_warp, x, 2));
}

/// scores = q k^T for 16 queries and all keys, -infinity beyond T.
template <int D, class K, class Tile>
__device__ void score(FragmentC (&scores)[2 * K::pairs], const FragmentA (&q)[D / 16], Tile keys, int T) {
#pragma unroll
  for (int j = 0; j < K::pairs; ++j) {
    scores[2 * j] = scores[2 * j + 1] = {};
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      FragmentB left, right;
      load_b(keys + (j * 16 * pitch_of(D) + i * 16), pitch_of(D), left, right);
      mma(scores[2 * j], q[i], left);
      if (2 * j + 1 < K::tiles) mma(scores[2 * j + 1], q[i], right);
    }
  }
  const auto end_at_T = [&](int n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n].at[i] = 8 * n + column_of_c(i) < T ? scores[n].at[i] : -INFINITY;
  };
  end_at_T(K::tiles - 1);
  if (T > 8 * (K::tiles - 1)) return;  // T = 50, 65, 197 and 257: no other tile ends
#pragma unroll
  for (int n = 0; n < K::tiles - 1; ++n) end_at_T(n);
}

/// Rows' maxima, of scores before scale, and sums of exp(scale (score - maximum)); a lane has two rows.
struct Softmax {
  float most[2], sum[2];
};

/// out = p v, where p = exp(scale (score - maximum)), not yet divided by its sum.
template <int D, class K, class Tile>
__device__ Softmax weigh(FragmentC (&out)[D / 8], const FragmentC (&scores)[2 * K::pairs], Tile values, float scale) {
  const float factor = scale * log2_e;
  Softmax rows{.most = {-INFINITY, -INFINITY}, .sum = {}};
#pragma unroll
  for (int n = 0; n < K::tiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) rows.most[i / 2] = fmaxf(rows.most[i / 2], scores[n].at[i]);
  }
  for (float& most : rows.most) most = row_max(most);
  const float offset[2] = {rows.most[0] * factor, rows.most[1] * factor};
  FragmentC sums{};
  const FragmentB ones{0x3f803f80u, 0x3f803f80u};  // 1.0 in bf16, four times
#pragma unroll
  for (int j = 0; j < K::pairs; ++j) {
    FragmentC side[2];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        side[n].at[i] = 2 * j + n < K::tiles ? exp2_fast(scores[2 * j + n].at[i] * factor - offset[i / 2]) : 0.0f;
    }
    const FragmentA p = as_a(side[0], side[1]);
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      FragmentB left, right;
      load_b_transposed(values + (j * 16 * pitch_of(D) + i * 16), pitch_of(D), left, right);
      mma(out[2 * i], p, left);
      mma(out[2 * i + 1], p, right);
    }
    mma(sums, p, ones);
  }
  rows.sum[0] = sums.at[0], rows.sum[1] = sums.at[2];
  return rows;
}

template <int D, class K>
__global__ void __launch_bounds__(K::warps* lanes, K::blocks) forward_kernel(ShortSizes s, Forward a) {
  constexpr int rows = K::pairs * 16;
  auto keys = dynamic_shared<bf16>();
  auto values = keys + rows * pitch_of(D);
  copy_head<D>(keys, pitch_of(D), head_of<D>(a.k, s, s.T), a.k.stride, s.T, rows, s.warps * lanes);
  cp_async_commit();
  copy_head<D>(values, pitch_of(D), head_of<D>(a.v, s, s.T), a.v.stride, s.T, rows, s.warps * lanes);
  cp_async_commit();
  const int warp = my_warp();
  for (int first = warp * 16; first < s.Tq; first += s.warps * 16) {
    FragmentA q[D / 16];
    load_rows<D>(q, head_of<D>(a.q, s, s.Tq), a.q.stride, first, s.Tq);
    const bool at_start = first == warp * 16;
    if (at_start) {
      cp_async_wait<1>();
      __syncthreads();
    }
    FragmentC scores[2 * K::pairs], out[D / 8] = {};
    score<D, K>(scores, q, keys, s.T);
    if (at_start) {
      cp_async_wait<0>();
      __syncthreads();
    }
    const Softmax softmax = weigh<D, K>(out, scores, values, s.scale);
    store_rows<D>(out, 1 / softmax.sum[0], 1 / softmax.sum[1], head_of<D>(a.out, s, s.Tq), a.out.stride, first, s.Tq);
    if (a.lse.data && threadIdx.x % 4 == 0) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = first + row_of_c(2 * i);
        if (row < s.Tq) a.lse[blockIdx.x][row] = softmax.most[i] * s.scale + logf(softmax.sum[i]);
      }
    }
  }
}

/// f(Keys) of the smallest that has T.
template <int D, class F>
auto visit_keys(std::int64_t T, F&& f) {
  if (T <= 8 * 7) return f(Keys<7, 4, 5>{});
  if (T <= 8 * 9) return f(Keys<9, 5, 3>{});
  if constexpr (D <= 32) {
    if (T <= 8 * 25) return f(Keys<25, 7, 2>{});
  } else {
    if (T <= 8 * 25) return f(Keys<25, 4, 3>{});
  }
  return f(Keys < 33, 6, D <= 64 ? 2 : 1 > {});
}

template <int D, class K>
constexpr std::size_t shared_bytes = 2 * sizeof(bf16) * K::pairs * 16 * pitch_of(D);

void forward_run(Stream& stream, const AttentionForward& a, void*) {
  const AttentionSizes sizes = sizes_of(a);
  visit_head(sizes.D, [&]<int D>(std::integral_constant<int, D>) {
    visit_keys<D>(sizes.T, [&]<class K>(K) {
      const ShortSizes s{.Tq = static_cast<int>(sizes.Tq),
                         .T = static_cast<int>(sizes.T),
                         .H = static_cast<int>(sizes.H),
                         .warps = even_warps(tiles_of(sizes.Tq), K::warps),
                         .scale = static_cast<float>(a.scale)};
      const Grid grid{.blocks = static_cast<unsigned>(sizes.B * sizes.H),
                      .threads = static_cast<unsigned>(s.warps * lanes),
                      .shared = shared_bytes<D, K>};
      run_kernel(stream, grid, forward_kernel<D, K>, s,
                 Forward{.q = matrix<const bf16>(a.q),
                         .k = matrix<const bf16>(a.k),
                         .v = matrix<const bf16>(a.v),
                         .out = matrix<bf16>(a.out),
                         .lse = matrix<float>(a.lse)});
    });
  });
}

const char* forward_refuses(const Device& device, const AttentionForward& a) {
  if (const char* reason = short_refuses(a)) return reason;
  const AttentionSizes s = sizes_of(a);
  if (s.T > most_keys) return "this row has up to 264 tokens";
  const std::size_t bytes = visit_head(s.D, [&]<int D>(std::integral_constant<int, D>) {
    return visit_keys<D>(s.T, [&]<class K>(K) { return shared_bytes<D, K>; });
  });
  return bytes > device.shared_memory ? "the head's keys and values exceed a block's shared memory" : nullptr;
}

const Variant<AttentionForward> short_forward{.name = "short", .refuses = forward_refuses, .run = forward_run};

}  // namespace
}  // namespace kernels::MAE_GPU

template <>
kernels::Variant<kernels::AttentionForward> kernels::row<kernels::MAE_GPU::Short, kernels::AttentionForward>() {
  return MAE_GPU::short_forward;
}
