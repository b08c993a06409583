// Row `flash`, backward: two kernels, no atomics. dq sums over keys, dk and dv over queries; each kernel owns what it
// writes and streams the rest past, 64 rows at a time. So both make S and dP: 7 products where 5 are needed. In one
// kernel, dq or dk and dv would be sums over blocks: by atomics, in an order that changes from run to run, or through
// f32 sums in memory that every block reads and writes.
//
// query_kernel  grid B H blocks of queries: 128 where D <= 64, else 64. 4 warps; a warp owns 2 tiles of 16 queries (1
//               where D > 64): q and dout as fragments, sums of dq. First it makes delta = dout . out of its queries,
//               and leaves it in scratch, beside lse.
// key_kernel    grid B H blocks of keys: 128 where D <= 32, else 64. A warp owns 2 tiles of 16 keys (1 where D > 32):
//               k and v as fragments, sums of dk and dv. It works on S^T and dP^T, whose rows are its keys, so that
//               P^T and dS^T become fragments of A for the next products without shared memory.
// shared        rows of pitch_of(D) elements, dynamic, of the two kernels: 30 and 30 KiB (D = 32), 54 and 36 (64), 44
//               and 44 (80), 68 and 68 (128); and 1 KiB for lse and delta in key_kernel
// scratch       8 bytes a query, the queries of a head padded to a multiple of 64
// bytes         each operand once, k and v once more for each block of queries of their head, q and dout for each block
//               of keys, mostly from L2. The least is each operand once.
// Registers, sm_80 / sm_90a: query_kernel 130 / 166 (D = 32), 224 / 224 (64), 137 / 166 (80), 208 / 232 (128);
// key_kernel 172 / 176, 168 / 168, 168 / 222, 255 / 255; no spills.
//
// Equals, for each query i and key j:
//     p = exp(scale * q[i] . k[j] - lse[i]);   ds = p * (dout[i] . v[j] - dout[i] . out[i])
//     dq[i] += scale * ds * k[j];   dk[j] += scale * ds * q[i];   dv[j] += p * dout[i]
#include "kernels/cuda/attention_flash.cuh"

namespace kernels::MAE_GPU {
namespace {

using namespace flash;

constexpr int query_tiles(int D) { return tiles_of(D, 64); }
constexpr int key_tiles(int D) { return tiles_of(D, 32); }

/// Of each query two numbers, for both kernels: log2(e) lse, and delta. Heads are padded to whole blocks of queries
/// that do not exist: their lse is infinite, which makes every probability 0.
constexpr int statistics = 2;
constexpr int padded(int Tq) { return (Tq + streamed - 1) / streamed * streamed; }

struct Pointers {
  Matrix<const bf16> q, k, v, out, dout;
  Matrix<const float> lse;
  Matrix<bf16> dq, dk, dv;
  float* statistics;  // (B, H, padded Tq, 2), written by the first kernel
};
__device__ inline float* statistics_of(const Pointers& a, const Heads& s, const Block& p) {
  return a.statistics + (static_cast<long long>(p.b) * s.H + p.h) * padded(s.Tq) * statistics;
}

/// Part of x . y that one of the four lanes of a row adds up: every fourth pack of 8.
__device__ inline float quarter_dot(const bf16* x, const bf16* y, int width) {
  float sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % 4 * 8; d < width; d += 32) {
    float a[8], b[8];
    load(x + d, a), load(y + d, b);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += a[i] * b[i];
  }
  return sum;
}

/// log2(e) lse and delta of the lane's rows, made and written down for the second kernel.
template <int tiles>
__device__ void make_statistics(float (&lse)[tiles][2], float (&delta)[tiles][2], const Heads& s, const Pointers& a,
                                const Block& p, int first) {
  const bf16 *out = head_of(a.out, s, p, s.Tq), *dout = head_of(a.dout, s, p, s.Tq);
  float* written = statistics_of(a, s, p);
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int t = first + m * 16 + row_of_c(2 * half);
      const bool there = t < s.Tq;
      delta[m][half] = quad_sum(there ? quarter_dot(out + t * a.out.stride, dout + t * a.dout.stride, s.D) : 0);
      lse[m][half] = there ? log2_e * a.lse[static_cast<long long>(p.b) * s.H + p.h][t] : INFINITY;
      if (threadIdx.x % 4 == 0 && t < padded(s.Tq)) store(written + t * statistics, {lse[m][half], delta[m][half]});
    }
  }
}

/// ds = P (dP - delta), P = 2^(score - lse), of 16 keys; in the tail 0 for those behind `left`, where 2^-lse may be
/// large.
template <bool tail, int tiles>
__device__ void make_slopes(FragmentA (&ds)[tiles], FragmentC (&score)[tiles][2], FragmentC (&slope)[tiles][2],
                            const float (&lse)[tiles][2], const float (&delta)[tiles][2], float scale, int left) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int half = i % 4 / 2;
      const float power = exp2_fast(scale * score[m][i / 4].at[i % 4] - lse[m][half]);
      const bool there = !tail || i / 4 * 8 + column_of_c(i % 4) < left;
      float& dp = slope[m][i / 4].at[i % 4];
      dp = there ? power * (dp - delta[m][half]) : 0;
    }
    ds[m] = as_a(slope[m][0], slope[m][1]);
  }
}

/// dq of 64 tiles queries, past all keys: S = q k^T and dP = dout v^T of 16 keys become dS, and dq += dS k.
template <int D>
__global__ void __launch_bounds__(threads) query_kernel(Heads s, Pointers a) {
  constexpr int tiles = query_tiles(D), held = held_rows(tiles);
  [[maybe_unused]] constexpr int unrolled = D == 64 ? 1 : 2;  // as far as registers go
  const Block p = block_of(s, held);
  const Pair queries{head_of(a.q, s, p, s.Tq), head_of(a.dout, s, p, s.Tq), a.q.stride, a.dout.stride, s.Tq, s.D};
  const Pair keys{head_of(a.k, s, p, s.T), head_of(a.v, s, p, s.T), a.k.stride, a.v.stride, s.T, s.D};
  auto memory = dynamic_shared<bf16>();
  const auto copy = [&](int slot, int first) { copy_pair<D, streamed>(memory + slot * slot_elements(D), keys, first); };
  copy_pair<D, held>(memory + slot_elements(D), queries, p.first);
  copy(0, 0);
  cp_async_commit();

  const int first_query = p.first + static_cast<int>(threadIdx.x) / lanes * tiles * 16;
  float lse[tiles][2], delta[tiles][2];
  make_statistics(lse, delta, s, a, p, first_query);
  cp_async_wait<0>();
  __syncthreads();
  FragmentA q[tiles][D / 16], dout[tiles][D / 16];
  load_held<D>(q, memory + slot_elements(D));
  load_held<D>(dout, memory + (slot_elements(D) + held * pitch_of(D)));

  FragmentC dq[tiles][D / 8] = {};
  stream(s.T, copy, [&](int slot, int first, auto tail) {
    if (first_query >= s.Tq) return;  // a warp without queries only copies
#pragma unroll(unrolled)
    for (int n = 0; n < streamed; n += 16) {
      const int left = s.T - first - n;
      if (decltype(tail)::value && left <= 0) continue;
      auto k = memory + (slot * slot_elements(D) + n * pitch_of(D));
      FragmentC score[tiles][2] = {}, slope[tiles][2] = {};
      multiply_transposed<D>(score, q, k);
      multiply_transposed<D>(slope, dout, k + streamed * pitch_of(D));
      FragmentA ds[tiles];
      make_slopes<decltype(tail)::value>(ds, score, slope, lse, delta, log2_e * s.scale, left);
      multiply<D>(dq, ds, k);
    }
  });
  if (first_query < s.Tq) write_held<D>(dq, s.scale, head_of(a.dq, s, p, s.Tq), a.dq.stride, first_query, s.Tq, s.D);
}

/// Scores of 16 queries, in columns, become probabilities.
template <int tiles, class Numbers>
__device__ void make_probabilities(FragmentA (&p)[tiles], FragmentC (&score)[tiles][2], Numbers numbers, float scale) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float lse = numbers[(i / 4 * 8 + column_of_c(i % 2)) * statistics];
      float& at = score[m][i / 4].at[i % 4];
      at = exp2_fast(scale * at - lse);
    }
    p[m] = as_a(score[m][0], score[m][1]);
  }
}
template <int tiles, class Numbers>
__device__ void make_slopes(FragmentA (&ds)[tiles], const FragmentC (&probability)[tiles][2],
                            FragmentC (&slope)[tiles][2], Numbers numbers) {
#pragma unroll
  for (int m = 0; m < tiles; ++m) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float delta = numbers[(i / 4 * 8 + column_of_c(i % 2)) * statistics + 1];
      float& at = slope[m][i / 4].at[i % 4];
      at = probability[m][i / 4].at[i % 4] * (at - delta);
    }
    ds[m] = as_a(slope[m][0], slope[m][1]);
  }
}

/// dk and dv of 64 tiles keys, past all queries: S^T = k q^T and dP^T = v dout^T of 16 queries become P^T and dS^T, and
/// dv += P^T dout, dk += dS^T q.
template <int D>
__global__ void __launch_bounds__(threads) key_kernel(Heads s, Pointers a) {
  constexpr int tiles = key_tiles(D), held = held_rows(tiles);
  [[maybe_unused]] constexpr int unrolled = D == 128 ? 1 : 2;  // as far as registers go
  const Block p = block_of(s, held);
  const Pair queries{head_of(a.q, s, p, s.Tq), head_of(a.dout, s, p, s.Tq), a.q.stride, a.dout.stride, s.Tq, s.D};
  const Pair keys{head_of(a.k, s, p, s.T), head_of(a.v, s, p, s.T), a.k.stride, a.v.stride, s.T, s.D};
  const float* statistics_from = statistics_of(a, s, p);
  auto memory = dynamic_shared<bf16>();
  auto numbers = shared<float, 2 * streamed * statistics, 0>();  // of the queries in each slot
  const auto copy = [&](int slot, int first) {
    copy_pair<D, streamed>(memory + slot * slot_elements(D), queries, first);
    const int at = static_cast<int>(threadIdx.x) * 4;
    if (at < streamed * statistics)
      cp_async16(numbers + (slot * streamed * statistics + at), statistics_from + first * statistics + at);
  };
  copy_pair<D, held>(memory + slot_elements(D), keys, p.first);
  copy(0, 0);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  FragmentA k[tiles][D / 16], v[tiles][D / 16];
  load_held<D>(k, memory + slot_elements(D));
  load_held<D>(v, memory + (slot_elements(D) + held * pitch_of(D)));

  const int first_key = p.first + static_cast<int>(threadIdx.x) / lanes * tiles * 16;
  FragmentC dk[tiles][D / 8] = {}, dv[tiles][D / 8] = {};
  stream(s.Tq, copy, [&](int slot, int first, auto tail) {
    if (first_key >= s.T) return;  // a warp without keys only copies
#pragma unroll(unrolled)
    for (int n = 0; n < streamed; n += 16) {
      if (decltype(tail)::value && first + n >= s.Tq) continue;
      auto q = memory + (slot * slot_elements(D) + n * pitch_of(D)), dout = q + streamed * pitch_of(D);
      FragmentC score[tiles][2] = {}, slope[tiles][2] = {};
      multiply_transposed<D>(score, k, q);
      multiply_transposed<D>(slope, v, dout);
      FragmentA operand[tiles];
      auto of_queries = numbers + (slot * streamed + n) * statistics;
      make_probabilities(operand, score, of_queries, log2_e * s.scale);
      multiply<D>(dv, operand, dout);
      make_slopes(operand, score, slope, of_queries);
      multiply<D>(dk, operand, q);
    }
  });
  if (first_key >= s.T) return;
  write_held<D>(dk, s.scale, head_of(a.dk, s, p, s.T), a.dk.stride, first_key, s.T, s.D);
  write_held<D>(dv, 1, head_of(a.dv, s, p, s.T), a.dv.stride, first_key, s.T, s.D);
}

std::size_t statistics_bytes(const AttentionBackward& a) {
  const AttentionSizes s = sizes_of(a);
  return static_cast<std::size_t>(s.B * s.H * padded(static_cast<int>(s.Tq)) * statistics) * sizeof(float);
}

void backward_run(Stream& stream, const AttentionBackward& a, void* scratch) {
  const AttentionSizes sizes = sizes_of(a);
  const Pointers p{.q = matrix<const bf16>(a.q),
                   .k = matrix<const bf16>(a.k),
                   .v = matrix<const bf16>(a.v),
                   .out = matrix<const bf16>(a.out),
                   .dout = matrix<const bf16>(a.dout),
                   .lse = matrix<const float>(a.lse),
                   .dq = matrix<bf16>(a.dq),
                   .dk = matrix<bf16>(a.dk),
                   .dv = matrix<bf16>(a.dv),
                   .statistics = static_cast<float*>(scratch)};
  visit_head(sizes.D, [&]<int D>(std::integral_constant<int, D>) {
    const auto run = [&](auto kernel, std::int64_t rows, int tiles) {
      const int held = held_rows(tiles);
      const Heads s = heads_of(a, rows, held);
      const Grid grid{static_cast<unsigned>(sizes.B * sizes.H * s.blocks), threads, shared_bytes(D, 2 * held)};
      run_kernel(stream, grid, kernel, s, p);
    };
    run(query_kernel<D>, sizes.Tq, query_tiles(D));
    run(key_kernel<D>, sizes.T, key_tiles(D));
  });
  sum_bias(stream, a, static_cast<std::byte*>(scratch) + statistics_bytes(a));
}

std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  return statistics_bytes(a) + sum_bias_workspace(device, a);
}

}  // namespace
}  // namespace kernels::MAE_GPU

namespace kernels {

template <>
Variant<AttentionBackward> row<MAE_GPU::Flash, AttentionBackward>() {
  return {.name = "flash",
          .refuses = MAE_GPU::flash::refuses<AttentionBackward>,
          .workspace = MAE_GPU::backward_workspace,
          .run = MAE_GPU::backward_run};
}

}  // namespace kernels
