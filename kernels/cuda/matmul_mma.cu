// Matrix product of bf16 on tensor cores, every layout and size, out bf16 or f32: the row `mma`.
//
// grid      a block of 128 threads for each tile of out, 128 x 128 or, where there are few of those, 64 x 64 elements;
//           where K is long and out is small (gradients of weights), several blocks a tile, each with a part of K.
// a block   walks over K in steps of 32. Four steps of tiles of a and b lie in dynamic shared memory, at most 80 KiB;
//           while one is multiplied, cp.async brings the next three. What a thread copies is made out before the first
//           step; in the loop, pointers move on. One barrier a step.
// a warp    a quarter of the tile, 64 x 64 or 32 x 32, as fragments of mma.m16n8k16: 128 or 32 sums a lane. For 16 of
//           K it loads 8 times 16 x 16 elements (ldmatrix) and multiplies 32 times; while it multiplies, it loads those
//           of the next 16, also across the barrier.
// end       the sums lie in shared memory once more, as f32, where the steps were. A thread takes rows of 8 columns,
//           up to four at once: bias, GELU, residual and stores, in packs of 16 bytes, neighbours side by side. Column
//           sums: over a thread's rows, then threads, then tiles, always in order.
// parts     of K: what a block takes for out is scratch, whole tiles in f32, part above part; join_kernel adds the
//           parts in order.
// sums      f32, in an order that the shape and the GPU decide: the same bits on every run.
// Bytes: a is read N / 128 times and b M / 128 times, against once; blocks side by side find much of it in L2.
// Registers (CUDA 13.0, sm_80 / sm_90a): large tile at most 240 / 236, two blocks an SM; small one 126, four blocks.
//
// It equals     for m, n: out[m, n] = sum over k of a[m, k] b[k, n], and what follows it in kernels/matmul.h
#include <algorithm>

#include "kernels/cuda/matmul_tile.cuh"
#include "kernels/matmul_passes.h"

namespace kernels::MAE_GPU {
struct Mma;
namespace {

template <class K>
__global__ void __launch_bounds__(threads, blocks_an_sm(K::tile)) mma_kernel(Product p) {
  auto memory = dynamic_shared<bf16>();              // (stages, tile of a and tile of b)
  const unsigned row = blockIdx.x / p.column_tiles;  // of tiles, in all parts of K
  const int part = static_cast<int>(row / p.row_tiles);
  const int m = static_cast<int>(row % p.row_tiles) * K::tile;
  const int n = static_cast<int>(blockIdx.x % p.column_tiles) * K::tile;
  const int warp = static_cast<int>(threadIdx.x) / lanes;
  const int warp_m = warp / 2 * K::warp_tile, warp_n = warp % 2 * K::warp_tile;

  const int first = part * p.steps_a_part, last = min(first + p.steps_a_part, p.steps), k = first * step;
  Source<K::a_rows, K::a_columns, K::wide> a(p.a, K::a_by_rows ? m : k, K::a_by_rows ? k : m);
  Source<K::b_rows, K::b_columns, K::wide> b(p.b, K::b_by_rows ? k : n, K::b_by_rows ? n : k);
  const auto bring = [&](int s, int to) {
    if (s < last) a.bring(memory + to), b.bring(memory + (to + K::a_elements));
    cp_async_commit();
  };
  const auto await = [] {
    cp_async_wait<stages - 2>();
    __syncthreads();
  };

  FragmentC sums[K::down][K::across] = {};
  Fragments<K> fragments[2];  // one is loaded while the other is multiplied
  for (int i = 0; i < stages - 1; ++i) bring(first + i, i * K::stage);
  await();
  fragments[0].load(memory, warp_m, warp_n, 0);
  int at = 0, free = (stages - 1) * K::stage;  // of the stages: which is multiplied, which has been
  for (int s = first; s < last; ++s) {
    fragments[1].load(memory + at, warp_m, warp_n, 16);
    bring(s + stages - 1, free);
    fragments[0].multiply(sums);
    free = at;
    at = at == (stages - 1) * K::stage ? 0 : at + K::stage;
    await();  // step s + 1 is there, and all warps have loaded step s, whose place the next copy takes
    if (s + 1 < last) fragments[0].load(memory + at, warp_m, warp_n, 0);
    fragments[1].multiply(sums);
  }

  auto tile = dynamic_shared_again<float>();
  put_sums<K>(tile, warp_m, warp_n, sums);
  __syncthreads();
  store_out<K>(p, tile, static_cast<int>(row) * K::tile, n);
}

/// A thread 8 elements of a row of out: adds up the parts of K in order.
__global__ void __launch_bounds__(256)
    join_kernel(Epilogue end, const float* parts, int count, long long rows, int columns) {
  const int packs = (end.N + 7) / 8;
  const long long i = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= static_cast<long long>(end.M) * packs) return;
  const int m = static_cast<int>(i / packs), n = static_cast<int>(i % packs) * 8;
  float x[1][8] = {};
  for (int part = 0; part < count; ++part) {
    float more[1][8];
    read8(parts, {(part * rows + m) * columns + n}, 8, true, more);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[0][j] += more[0][j];
  }
  finish<Activation::none>(end, {m}, n, x);
}

// ---- which kernel, and how it is cut --------------------------------------------------------------------------------

/// Rows are whole packs of 16 bytes.
bool comes_wide(const View& v) { return packs(v, widest<bf16>); }

/// Otherwise the product goes alone, and passes behind it: so does what comes element by element.
bool fuses(const MatMul& s, bool wide) {
  const bool alone = s.activation == Activation::none && !s.column_sum;
  return alone || (wide && takes_activation(s));
}

struct Plan {
  int tile;
  unsigned row_tiles, column_tiles;
  int parts, steps_a_part;
};

Plan plan_of(const Device& device, const MatMul& s, bool wide) {
  constexpr long long fewest_steps = 8;                       // of a part
  const long long sms = std::max(4, device.multiprocessors);  // simt has one, and must meet every kernel
  const long long steps = (s.k() + step - 1) / step, most_parts = std::max(1LL, steps / fewest_steps);
  const auto tiles = [&](int side) {
    return static_cast<long long>(blocks_for(s.m(), side)) * blocks_for(s.n(), side);
  };
  const bool one_part = s.activation != Activation::none || s.column_sum;
  const int tile = wide && (one_part || tiles(128) * most_parts >= sms) ? 128 : 64;
  const long long blocks = sms * blocks_an_sm(tile);
  const long long parts = one_part ? 1 : std::clamp(blocks / tiles(tile), 1LL, most_parts);
  const long long steps_a_part = (steps + parts - 1) / parts;
  return {.tile = tile,
          .row_tiles = blocks_for(s.m(), tile),
          .column_tiles = blocks_for(s.n(), tile),
          .parts = static_cast<int>((steps + steps_a_part - 1) / steps_a_part),
          .steps_a_part = static_cast<int>(steps_a_part)};
}

/// Where each part of K stores its sums: whole tiles, in f32.
View parts_of(const Plan& plan, void* scratch) {
  return view_of(scratch, DType::f32,
                 {std::int64_t{plan.parts} * plan.row_tiles * plan.tile, std::int64_t{plan.column_tiles} * plan.tile});
}

std::size_t workspace_of(const Device& device, const MatMul& s, bool wide) {
  if (!fuses(s, wide)) return std::max(workspace_of(device, product_of(s), wide), passes_workspace(device, s));
  const Plan plan = plan_of(device, s, wide);
  if (s.column_sum) return column_workspace(device, s, plan.row_tiles);
  return plan.parts == 1 ? 0 : static_cast<std::size_t>(parts_of(plan, nullptr).bytes());
}

/// Addresses are not known where scratch is planned.
std::size_t workspace(const Device& device, const MatMul& s) {
  return std::max(workspace_of(device, s, true), workspace_of(device, s, false));
}

Operand operand(const View& v) {
  return {.data = v.as<bf16>(),
          .stride = v.row_stride,
          .rows = static_cast<int>(v.rows()),
          .columns = static_cast<int>(v.cols())};
}

template <class K>
void start(Stream& stream, const Product& p, int parts) {
  const Grid grid{.blocks = p.row_tiles * p.column_tiles * static_cast<unsigned>(parts),
                  .threads = threads,
                  .shared = stages * K::stage * sizeof(bf16)};
  run_kernel(stream, grid, mma_kernel<K>, p);
}

template <Layout a, Layout b>
void start_layout(Stream& stream, const Product& p, const Plan& plan, bool wide) {
  if (!wide) return start<Kind<64, a, b, false>>(stream, p, plan.parts);
  plan.tile == 128 ? start<Kind<128, a, b, true>>(stream, p, plan.parts)
                   : start<Kind<64, a, b, true>>(stream, p, plan.parts);
}

void start_any(Stream& stream, const MatMul& s, const Product& p, const Plan& plan, bool wide) {
  constexpr Layout plain = Layout::plain, transposed = Layout::transposed;
  if (s.activation == Activation::gelu)
    return start<Kind<128, plain, transposed, true, Activation::gelu>>(stream, p, 1);
  if (s.activation == Activation::gelu_backward)
    return start<Kind<128, plain, plain, true, Activation::gelu_backward>>(stream, p, 1);
  if (s.a_layout == plain) {
    s.b_layout == plain ? start_layout<plain, plain>(stream, p, plan, wide)
                        : start_layout<plain, transposed>(stream, p, plan, wide);
  } else {
    s.b_layout == plain ? start_layout<transposed, plain>(stream, p, plan, wide)
                        : start_layout<transposed, transposed>(stream, p, plan, wide);
  }
}

void run(Stream& stream, const MatMul& s, void* scratch) {
  const bool wide = comes_wide(s.a) && comes_wide(s.b);
  if (!fuses(s, wide)) {
    run(stream, product_of(s), scratch);
    return run_passes(stream, s, scratch);
  }
  const Plan plan = plan_of(stream.device(), s, wide);
  const Epilogue end = epilogue_of(s);
  const View parts = parts_of(plan, scratch);
  const Epilogue end_of_part{
      .out = rows8(parts), .M = static_cast<int>(parts.rows()), .N = static_cast<int>(parts.cols())};
  const Product p{.a = operand(s.a),
                  .b = operand(s.b),
                  .end = plan.parts > 1 ? end_of_part : end,
                  .row_tiles = plan.row_tiles,
                  .column_tiles = plan.column_tiles,
                  .steps = static_cast<int>((s.k() + step - 1) / step),
                  .steps_a_part = plan.steps_a_part,
                  .column_sums = s.column_sum ? static_cast<float*>(scratch) : nullptr};
  start_any(stream, s, p, plan, wide);
  if (plan.parts > 1)
    run_kernel(stream, {blocks_for(s.m() * ((s.n() + 7) / 8), 256), 256}, join_kernel, end, parts.as<float>(),
               plan.parts, parts.rows() / plan.parts, static_cast<int>(parts.cols()));
  if (s.column_sum) add_columns(stream, s, plan.row_tiles, scratch);
}

const char* refuses(const Device&, const MatMul& s) {
  if (s.a.dtype != DType::bf16) return "this row has bf16 only";
  return too_large(s);
}

}  // namespace
}  // namespace kernels::MAE_GPU

namespace kernels {
template <>
Variant<MatMul> row<MAE_GPU::Mma, MatMul>() {
  return {.name = "mma", .refuses = MAE_GPU::refuses, .workspace = MAE_GPU::workspace, .run = MAE_GPU::run};
}
}  // namespace kernels
