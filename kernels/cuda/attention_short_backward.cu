// Attention of few tokens, backward, in bf16: row `short`. One pass over memory, five products, one exp for each score,
// no atomics, nothing between kernels but the bias's partial sums. A block has one head of one sample.
//
// grid      (B H) blocks. A warp owns tiles of 16 keys, one, or two where heads are narrow and keys many: 4 warps for
//           T = 50, 5 for 65, 7 for 197 with D = 32 (13 with D = 64), 9 for 257.
// before    delta = dout . out by rows, out being read once, straight to registers; so is v, of the warp's keys. Both
//           are asked for before the copies to shared memory, and looked at when these are told.
// loop      over tiles of 16 queries, in chunks between two barriers. A warp makes S^T = k q^T of its keys, P^T by
//           exp2, dv += P^T dout, dP^T = v dout^T, dS^T = P^T (dP^T - delta), dk += dS^T q. P^T and dS^T are operands
//           where they stand (as_a), dk and dv stay in registers. dS^T also goes to shared memory, and behind the
//           barrier the warps share out the chunk's dq = dS k: 16 queries each.
// shared    q with dout beside it, k, dS^T of a chunk, and D column sums of dq a warp. The chunk is what fits, at most
//           a tile a warp: T = 50, D = 64 36,864 bytes (all 4 tiles of queries in one chunk), 65, 80 56,640 (5), 197,
//           32 97,408 (7 of 13), 147 x 197, 32 77,184 (5 of 10), 257, 32 144,768 (9 of 17), or 101,248 (4) in 99 KiB,
//           197, 64 179,712 (13), or 99,840 (1) in 99 KiB.
// registers sm_80 / sm_90a: T = 50, D = 64 128 / 126 (16 warps a multiprocessor), 65, 80 159 / 160 (10), 197, 32 127 /
//           128 (14; 7 where shared memory has room for one block, as on an A100), 257, 32 147 / 153 (9), 197, 64 128 /
//           126 (13). k is read again from shared memory for every tile of queries, which keeps it out of registers.
// waste     both sides come in tiles of 16: 64 x 64 for T = 50, 80 x 80 for 65, 208 x 208 for 197, 272 x 272 for 257.
// bytes     q, k, v, out, dout, lse read once, dq, dk, dv written once: the least possible. The bias's gradient adds
//           24 C bytes a sample: partial sums (B, 3, C) in f32, of gradients before they are rounded, written and read.
//
// A head's gradients equal     P = exp(scale q k^T - lse);   dS = P * (dout v^T - rowsum(dout * out));
//                              dv = P^T dout;   dq = scale dS k;   dk = scale dS^T q;   dbias = sums of dq, 0, dv
#include "kernels/cuda/attention_short_backward.cuh"
#include "kernels/reduce.h"

namespace kernels::MAE_GPU {
namespace {

/// Shared memory filled, delta made, v in registers.
template <class P, class Tile>
__device__ void prepare(Owned<P>& mine, const Backward& a, Tile queries, Tile keys, Tile dq_sums) {
  constexpr int D = P::D;
  const ShortSizes& s = a.s;
  const int threads = s.warps * lanes, rows = a.at.query_tiles * 16;
  // what goes to registers is asked for first, and looked at last
  const int row = static_cast<int>(my_thread() / 2);
  const bf16* out = head_of<D>(a.out, s, s.Tq);
  HalfRow<D> half[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) half[i] = load_half_row<D>(out, a.out.stride, row + i * threads / 2, s.Tq);
#pragma unroll
  for (int n = 0; n < P::own; ++n)
    load_rows<D>(mine.v[n], head_of<D>(a.v, s, s.T), a.v.stride, mine.first + n * s.warps * 16, s.T);

  const auto bring = [&](Tile to, int pitch, const Matrix<const bf16>& x, int tokens, int tiles) {
    copy_rows<D>(to, pitch, head_of<D>(x, s, tokens), x.stride, tokens, tiles * 16, warp_number(), s.warps);
  };
  bring(queries, P::query_pitch, a.q, s.Tq, a.at.query_tiles);
  bring(queries + D, P::query_pitch, a.dout, s.Tq, a.at.query_tiles);
  bring(keys, P::pitch, a.k, s.T, a.at.key_tiles);
  cp_async_commit();
  for (int i = static_cast<int>(threadIdx.x); i < rows; i += threads)
    store_float(queries + (i * P::query_pitch + P::start), i < s.Tq ? -a.lse[blockIdx.x][i] * log2_e : -INFINITY);
  clear_columns<D>(dq_sums);
#pragma unroll
  for (int n = 0; n < P::own; ++n) turn_rows(mine.v[n]);
  cp_async_wait<0>();
  __syncthreads();
  for (int r = row, i = 0; r < rows; r += threads / 2, ++i) {  // whole warps: a tile each
    if (i == 1) half[0] = half[1];
    if (i > 1) half[0] = load_half_row<D>(out, a.out.stride, r, s.Tq);
    store_delta<P>(half[0], queries + r * P::query_pitch);
  }
  __syncthreads();
}

template <class P>
__global__ void __launch_bounds__(P::warps* lanes, P::blocks) backward_kernel(Backward a) {
  constexpr int D = P::D;
  const ShortSizes& s = a.s;
  const int warp = my_warp();
  auto queries = dynamic_shared<bf16>();
  auto keys = queries + a.at.keys, slopes = queries + a.at.slopes, sums = queries + a.at.sums;
  Owned<P> mine{.first = warp * 16, .key = warp * 16 * P::pitch + point_down(P::pitch)};
  prepare(mine, a, queries, keys, sums + 2 * warp * D);

  auto across = queries + point_across(P::query_pitch), down = queries + point_down(P::query_pitch);
  for (int first = 0; first < a.at.query_tiles; first += a.at.chunk) {
    const int tiles = min(a.at.chunk, a.at.query_tiles - first);
#pragma unroll 1
    for (int q = 0; q < tiles; ++q) {
      const auto these = queries + anew((first + q) * 16 * P::query_pitch);
      visit_queries(mine, s, a.at, keys, these, slopes + q * 16, across, down);
      across = across + 16 * P::query_pitch, down = down + 16 * P::query_pitch;
    }
    __syncthreads();
    finish_chunk(a, keys, slopes, sums + 2 * my_warp() * D, first, tiles, P{});
    __syncthreads();  // before the next chunk, or the sums, take the place of dS
  }
#pragma unroll
  for (int n = 0; n < P::own; ++n) {
    const int first = mine.first + n * s.warps * 16;
    store_rows<D>(mine.dk[n], s.scale, s.scale, head_of<D>(a.dk, s, s.T), a.dk.stride, first, s.T);
    store_rows<D>(mine.dv[n], 1, 1, head_of<D>(a.dv, s, s.T), a.dv.stride, first, s.T);
  }
  if (!a.partial) return;
  clear_columns<D>(slopes + 2 * warp * D);
#pragma unroll
  for (int n = 0; n < P::own; ++n) add_columns(slopes + 2 * warp * D, mine.dv[n], 1);
  __syncthreads();
  write_partial(a, sums, slopes, P{});
}

// ---- the host's part ------------------------------------------------------------------------------------------------

/// f(Plan) of the first that has T keys; false: none has.
template <class F>
bool visit_plan(const AttentionSizes& s, F&& f) {
  const int tiles = tiles_of(s.T);
  return visit_head(s.D, [&]<int D>(std::integral_constant<int, D>) {
    if constexpr (D <= 32) {
      if (tiles <= 5) return f(Plan<D, 1, 5, 4>{}), true;
      if (tiles <= 14) return f(Plan<D, 2, 7, 2>{}), true;
      if (tiles <= 18) return f(Plan<D, 2, 9, 1>{}), true;
    } else {
      if (tiles <= 5) return f(Plan < D, 1, 5, D <= 64 ? 3 : 2 > {}), true;
      if constexpr (D <= 64) {
        if (tiles <= 13) return f(Plan<D, 1, 13, 1>{}), true;
      }
    }
    return false;
  });
}

template <class P>
Layout layout_of(const Device& device, const AttentionSizes& s, int warps) {
  Layout at{.query_tiles = tiles_of(s.Tq), .key_tiles = tiles_of(s.T)};
  at.keys = at.query_tiles * 16 * P::query_pitch;
  at.sums = at.keys + at.key_tiles * 16 * P::pitch;
  at.slopes = at.sums + 2 * warps * P::D;
  const int room = static_cast<int>(device.shared_memory / sizeof(bf16)) - at.slopes;
  const int fit = (room / (at.key_tiles * 16) - 8) / 16;  // rows of slopes are 16 chunk + 8 apart
  if (room < 0 || fit < 1) return at;
  at.chunk = even_warps(at.query_tiles, std::min(fit, warps));
  at.slope_pitch = at.chunk * 16 + 8;
  at.end = at.slopes + at.key_tiles * 16 * at.slope_pitch;
  return at;
}

template <class P>
int warps_of(const AttentionSizes& s) {
  return (tiles_of(s.T) + P::own - 1) / P::own;
}

ColumnSum sum_of(const AttentionBackward& a, void* partial) {
  const std::int64_t B = a.q.shape[0], C = a.q.cols();
  return {.x = view_of(partial, DType::f32, {B, 3 * C}),
          .out = view_of(a.dbias.data, DType::f32, {3 * C}),
          .mode = a.bias_mode};
}

std::size_t partial_bytes(const AttentionBackward& a) {
  return (static_cast<std::size_t>(a.q.shape[0] * a.q.cols()) * 3 * sizeof(float) + 511) / 512 * 512;
}

std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  if (!a.dbias) return 0;
  const ColumnSum sum = sum_of(a, nullptr);
  return partial_bytes(a) + choose(device, sum).scratch_bytes(device, sum);
}

void backward_run(Stream& stream, const AttentionBackward& a, void* scratch) {
  const AttentionSizes sizes = sizes_of(a);
  visit_plan(sizes, [&]<class P>(P) {
    const int warps = warps_of<P>(sizes);
    const Backward args{.s = {.Tq = static_cast<int>(sizes.Tq),
                              .T = static_cast<int>(sizes.T),
                              .H = divisor(sizes.H),
                              .warps = warps,
                              .scale = static_cast<float>(a.scale)},
                        .at = layout_of<P>(stream.device(), sizes, warps),
                        .q = matrix<const bf16>(a.q),
                        .k = matrix<const bf16>(a.k),
                        .v = matrix<const bf16>(a.v),
                        .out = matrix<const bf16>(a.out),
                        .dout = matrix<const bf16>(a.dout),
                        .lse = matrix<const float>(a.lse),
                        .dq = matrix<bf16>(a.dq),
                        .dk = matrix<bf16>(a.dk),
                        .dv = matrix<bf16>(a.dv),
                        .partial = a.dbias ? static_cast<float*>(scratch) : nullptr};
    const Grid grid{.blocks = static_cast<unsigned>(sizes.B * sizes.H),
                    .threads = static_cast<unsigned>(warps * lanes),
                    .shared = args.at.end * sizeof(bf16)};
    run_kernel(stream, grid, backward_kernel<P>, args);
  });
  if (!a.dbias) return;
  const ColumnSum sum = sum_of(a, scratch);
  choose(stream.device(), sum).run(stream, sum, static_cast<std::byte*>(scratch) + partial_bytes(a));
}

const char* backward_refuses(const Device& device, const AttentionBackward& a) {
  if (const char* reason = short_refuses(a)) return reason;
  if (a.dbias && !a.dbias.contiguous()) return "this row adds up a dbias without gaps between its rows";
  const AttentionSizes s = sizes_of(a);
  bool fits = false;
  const bool has = visit_plan(s, [&]<class P>(P) { fits = layout_of<P>(device, s, warps_of<P>(s)).end > 0; });
  if (!has) {
    return s.D <= 32   ? "this row has up to 288 tokens where a head has up to 32 elements"
           : s.D <= 64 ? "this row has up to 208 tokens where a head has 48 or 64 elements"
                       : "this row has up to 80 tokens where a head has 80 elements";
  }
  return fits ? nullptr : "the head's queries, keys and dout exceed a block's shared memory";
}

const Variant<AttentionBackward> short_backward{
    .name = "short", .refuses = backward_refuses, .workspace = backward_workspace, .run = backward_run};

}  // namespace
}  // namespace kernels::MAE_GPU

template <>
kernels::Variant<kernels::AttentionBackward> kernels::row<kernels::MAE_GPU::Short, kernels::AttentionBackward>() {
  return MAE_GPU::short_backward;
}
