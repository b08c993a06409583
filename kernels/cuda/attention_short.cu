// Attention of few tokens, forward, in bf16: row `short`. A block has one head of one sample at a time.
//
// grid      blocks of 4 to 7 warps. A warp takes 16 queries at a time: T = 50 is 4 warps of one tile, 197 7 warps of
//           two, 257 6 of three, the 147 masked queries of 197 tokens 5 of two. Where shared memory has room for two
//           heads, blocks are as many as run at once, and walk: while a block computes a head, its next one is on its
//           way, so that only the first has to be waited for. Elsewhere B H blocks have a head each.
// shared    all comes by cp.async: k and v of the head, zeros behind T, and 16 rows of q for each warp, which asks for
//           the next 16 as soon as it has these in fragments. 27,648 bytes for T = 50, D = 64, 42,240 for 65, 80 (two
//           heads: 70,400) and for 197, 32 (75,520), 51,200 for 257, 32 (94,720), 69,120 for 197, 64. At D = 64 with
//           257 keys, and D = 80 with more than 72, q goes to fragments directly. v of the first head is still under
//           way while scores are made.
// thread    the whole rows of scores of its warp's 16 queries, two rows to four lanes: T / 2 floats, 132 for T = 257.
//           So the largest score is known before the first exp, and nothing is scaled down later. Then p, in bf16, is
//           an operand where it stands (as_a), of p v and of p times a column of ones, which is its sum: out is divided
//           by the sum of what was multiplied, and the lanes need not add up.
// registers (sm_80 / sm_90a), and warps a multiprocessor, whose quarters have 16,384 each, for whole warps:
//           T = 50, D = 64: 85 / 93, 20. 65, 80: 101 / 102, 15. 197, 32: 128 / 128, 14. 257, 32: 168 / 168, 12.
//           197, 64: 168 / 162, 12.
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
  ShortSizes s;
  int heads;     // of all samples
  float factor;  // scale log2 e
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
  const auto row = keys + point_across(pitch_of(D));
#pragma unroll
  for (int j = 0; j < K::pairs; ++j) {
    scores[2 * j] = scores[2 * j + 1] = {};
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      unsigned b[4];
      ldmatrix4(b, row + (j * 16 * pitch_of(D) + i * 16));
      mma(scores[2 * j], q[i], {b[0], b[1]});
      if (2 * j + 1 < K::tiles) mma(scores[2 * j + 1], q[i], {b[2], b[3]});
    }
  }
  const int keys_left = T - my_lane() % 4 * 2;  // of this lane's columns
  const auto end_at_T = [&](int n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n].at[i] = 8 * n + i % 2 < keys_left ? scores[n].at[i] : -INFINITY;
  };
  end_at_T(K::tiles - 1);
  if (T > 8 * (K::tiles - 1)) return;  // T = 50, 65, 197 and 257: no other tile ends
#pragma unroll
  for (int n = 0; n < K::tiles - 1; ++n) end_at_T(n);
}

/// Of rows, a lane's two: the maximum of factor * score, where factor = scale log2 e, and log2 of the sum of
/// p = 2^(factor * score - maximum).
struct Softmax {
  float most[2], sum[2];
};

/// out = p v, not yet divided by the sum of p.
template <int D, class K, class Tile>
__device__ Softmax weigh(FragmentC (&out)[D / 8], const FragmentC (&scores)[2 * K::pairs], Tile values, float factor) {
  Softmax rows{.most = {-INFINITY, -INFINITY}, .sum = {}};
#pragma unroll
  for (int n = 0; n < K::tiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) rows.most[i / 2] = fmaxf(rows.most[i / 2], scores[n].at[i]);
  }
  for (float& most : rows.most) most = row_max(most) * factor;
  const auto row = values + point_down(pitch_of(D));
  FragmentC sums{};
  const FragmentB ones{0x3f803f80u, 0x3f803f80u};  // 1.0 in bf16, four times
#pragma unroll
  for (int j = 0; j < K::pairs; ++j) {
    FragmentC side[2];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        side[n].at[i] = 2 * j + n < K::tiles ? exp2_fast(scores[2 * j + n].at[i] * factor - rows.most[i / 2]) : 0.0f;
    }
    const FragmentA p = as_a(side[0], side[1]);
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      unsigned b[4];
      ldmatrix4_transposed(b, row + (j * 16 * pitch_of(D) + i * 16));
      mma(out[2 * i], p, {b[0], b[1]});
      mma(out[2 * i + 1], p, {b[2], b[3]});
    }
    mma(sums, p, ones);
  }
  rows.sum[0] = log2_fast(sums.at[0]), rows.sum[1] = log2_fast(sums.at[2]);
  return rows;
}

/// Shared memory, in elements from the start: 16 rows of q for each warp, then k and v of a head, a second time where
/// blocks walk.
template <int D, class K>
struct Room {
  static constexpr bool has_q = D * K::tiles < 2000;  // wider heads with more keys leave no room: q to registers
  static constexpr int pitch = pitch_of(D), rows = K::pairs * 16;
  static constexpr int slot = has_q ? 16 * pitch : 0, head = 2 * rows * pitch;

  static constexpr std::size_t bytes(int warps, int heads) { return sizeof(bf16) * (warps * slot + heads * head); }
  /// `most` bytes a block can ask for have room for `blocks` blocks of two heads: CUDA keeps 1 KiB of each one's.
  static constexpr bool walks_in(std::size_t most, int blocks, int warps) {
    return blocks * (bytes(warps, 2) + 1024) <= most + 1024;
  }
  static constexpr bool walks = walks_in(227 << 10, K::blocks, K::warps);  // anywhere
};

template <int D, class K>
__global__ void __launch_bounds__(K::warps* lanes, K::blocks) forward_kernel(Forward a) {
  using R = Room<D, K>;
  const ShortSizes& s = a.s;
  const auto stages = dynamic_shared<bf16>() + s.warps * R::slot;
  const auto slot = [] { return dynamic_shared<bf16>() + warp_number() * R::slot; };
  const auto queries = [&](int head, int first) { return head_of<D>(a.q, s, s.Tq, head) + first * a.q.stride; };
  const auto bring_q = [&](int head, int first) {
    if constexpr (R::has_q) copy_rows<D>(slot(), R::pitch, queries(head, first), a.q.stride, s.Tq - first, 16, 0, 1);
  };
  const auto bring = [&](const Matrix<const bf16>& x, int head, int to) {
    copy_rows<D>(stages + to, R::pitch, head_of<D>(x, s, s.T, head), x.stride, s.T, R::rows, warp_number(),
                 anew(s.warps));
  };
  // steps are odd, so that a block's heads take the halves of shared memory in turn
  const auto stage = [&](int head) { return R::walks ? ((head ^ static_cast<int>(blockIdx.x)) & 1) * R::head : 0; };
  const auto after = [&](int head) { return R::walks ? head + anew(static_cast<int>(gridDim.x)) : a.heads; };

  int head = static_cast<int>(blockIdx.x);
  bring_q(head, warp_number() * 16);
  bring(a.k, head, 0);
  cp_async_commit();
  bring(a.v, head, R::head / 2);
  cp_async_commit();
  for (; head < a.heads; head = after(head)) {
    for (int first = my_warp() * 16; first < s.Tq; first += s.warps * 16) {
      const bool new_head = first < s.warps * 16;
      const auto at_start = [&] { return first < s.warps * 16 && head == static_cast<int>(blockIdx.x); };
      if (new_head && !at_start()) {
        cp_async_wait<0>();
      } else {
        cp_async_wait<1>();  // v of the first head, or k and v of the next one, come later
      }
      if (new_head) {
        __syncthreads();  // this head is there, and nobody reads the one before it
      } else {
        __syncwarp();
      }
      FragmentA q[D / 16];
      if constexpr (R::has_q) {
        const auto row = slot() + point_down(R::pitch);
#pragma unroll
        for (int i = 0; i < D / 16; ++i) ldmatrix4(q[i].at, row + i * 16);
        __syncwarp();
      } else {
        load_rows<D>(q, queries(head, first), a.q.stride, 0, s.Tq - first);
        turn_rows(q);
      }
      // what comes next is on its way meanwhile
      const int next = after(head);
      if (first + s.warps * 16 < s.Tq) {
        bring_q(head, first + s.warps * 16);
      } else if (next < a.heads) {
        bring_q(next, warp_number() * 16);
      }
      cp_async_commit();
      if (new_head && next < a.heads) {
        bring(a.k, next, stage(next));
        bring(a.v, next, stage(next) + R::head / 2);
      }
      cp_async_commit();

      FragmentC scores[2 * K::pairs], out[D / 8] = {};
      score<D, K>(scores, q, stages + stage(head), s.T);
      if (at_start()) {
        cp_async_wait<2>();
        __syncthreads();
      }
      const Softmax softmax = weigh<D, K>(out, scores, stages + (stage(head) + R::head / 2), a.factor);
      store_rows<D>(out, exp2_fast(-softmax.sum[0]), exp2_fast(-softmax.sum[1]), head_of<D>(a.out, s, s.Tq, head),
                    a.out.stride, first, s.Tq);
      const int lane = my_lane();
      if (a.lse.data && lane % 4 == 0) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int row = first + lane / 4 + i * 8;
          if (row < s.Tq) a.lse[head][row] = (softmax.most[i] + softmax.sum[i]) * (1 / log2_e);
        }
      }
    }
  }
}

/// f(Keys) of the smallest that has T.
template <int D, class F>
auto visit_keys(std::int64_t T, F&& f) {
  if (T <= 8 * 7) return f(Keys<7, 4, 5>{});
  if (T <= 8 * 9) return f(Keys<9, 5, 3>{});
  if constexpr (D == 32) {
    if (T <= 8 * 25) return f(Keys<25, 7, 2>{});
  } else {
    if (T <= 8 * 25) return f(Keys<25, 4, 3>{});
  }
  return f(Keys < 33, 6, D <= 64 ? 2 : 1 > {});
}

int warps_of(std::int64_t Tq, int most) { return even_warps(tiles_of(Tq), most); }

/// Blocks that walk, as many as run at once, where two heads fit each one's shared memory; else a block a head.
template <int D, class K>
Grid grid_of(const Device& device, int heads, int warps) {
  using R = Room<D, K>;
  const int at_once = (K::blocks * K::warps + 3) / 4 * 4 / warps;  // by registers, which warps have in fours
  const bool walk = R::walks && R::walks_in(device.shared_memory, at_once, warps);
  return {.blocks = static_cast<unsigned>(walk ? std::min(heads, (device.multiprocessors * at_once - 1) | 1) : heads),
          .threads = static_cast<unsigned>(warps * lanes),
          .shared = R::bytes(warps, walk ? 2 : 1)};
}

void forward_run(Stream& stream, const AttentionForward& a, void*) {
  const AttentionSizes sizes = sizes_of(a);
  visit_head(sizes.D, [&]<int D>(std::integral_constant<int, D>) {
    visit_keys<D>(sizes.T, [&]<class K>(K) {
      const Forward args{.s = {.Tq = static_cast<int>(sizes.Tq),
                               .T = static_cast<int>(sizes.T),
                               .H = divisor(sizes.H),
                               .warps = warps_of(sizes.Tq, K::warps),
                               .scale = static_cast<float>(a.scale)},
                         .heads = static_cast<int>(sizes.B * sizes.H),
                         .factor = static_cast<float>(a.scale) * log2_e,
                         .q = matrix<const bf16>(a.q),
                         .k = matrix<const bf16>(a.k),
                         .v = matrix<const bf16>(a.v),
                         .out = matrix<bf16>(a.out),
                         .lse = matrix<float>(a.lse)};
      run_kernel(stream, grid_of<D, K>(stream.device(), args.heads, args.s.warps), forward_kernel<D, K>, args);
    });
  });
}

const char* forward_refuses(const Device& device, const AttentionForward& a) {
  if (const char* reason = short_refuses(a)) return reason;
  const AttentionSizes s = sizes_of(a);
  if (s.T > most_keys) return "this row has up to 264 tokens";
  const std::size_t bytes = visit_head(s.D, [&]<int D>(std::integral_constant<int, D>) {
    return visit_keys<D>(s.T, [&]<class K>(K) { return Room<D, K>::bytes(warps_of(s.Tq, K::warps), 1); });
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
