// Matrix product of bf16 by wgmma, for compute capability 9.0, every layout, out bf16 or f32: the row `wgmma`.
//
// grid      one block of three warpgroups an SM, in clusters of two. A cluster takes every (clusters)th pair of tiles,
//           one above the other, of 128 x 128 elements of out each, along rows of pairs.
// a block   has a ring of up to 6 stages of 32 KiB: 64 of K of a tile of a and of b, swizzled (matrix_descriptor.h). A
//           thread of the first warpgroup lets bulk copies (TMA) bring one stage after the other, of tile after tile,
//           as soon as their place is free; zeros stand beyond the edges. Both blocks multiply the same tile of b: each
//           brings half of it, to both. The other two warpgroups take the block's tiles in turn: while one finishes
//           what it has multiplied, the other multiplies, so the tensor cores have work while GELU is taken.
// barriers  in shared memory: full[s] of stage s, ended by the bytes that have come; empty[s], by the four warps of
//           each block that have multiplied it; order[w] of warpgroup w, by the four warps of the other one when they
//           have asked for their last product. Without order the second warpgroup would wait for a stage of rounds to
//           come, and a barrier tells only this round from the next.
// a thread  of those two has 128 sums, which wgmma.m64n128k16 adds to while the thread itself goes on: 2 x 4 products a
//           stage, one stage in flight while the next is asked for.
// end       32 columns at a time: four neighbouring lanes exchange what they hold, so that each has rows of 8 columns,
//           four of them at once: bias, GELU, residual, stores in packs of 16 bytes. Column sums: over a thread's rows,
//           then over the lanes of a warp; a table of what each warp found is added up in order.
// sums      f32, in an order that the shape decides: the same bits on every run.
// Bytes: a is read N / 128 times and b M / 256 times, against once; blocks side by side find much of it in L2.
// Registers: 168 a thread at the start; then 232 for those that multiply and 40 for those that copy.
//
// It equals     for m, n: out[m, n] = sum over k of a[m, k] b[k, n], and what follows it in kernels/matmul.h
#include <algorithm>

#include "kernels/cuda/matmul_epilogue.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/sm90.cuh"
#include "kernels/matmul_passes.h"

namespace kernels::MAE_GPU {
struct Wgmma;
namespace {

constexpr int tile = 128, step = 64;  // of out; of K
constexpr int warpgroup = 128, threads = 3 * warpgroup, warps_of_a_tile = warpgroup / lanes;
constexpr int most_stages = 6;  // some 3,000 cycles of products, while memory answers
constexpr int tile_bytes = tile * step * sizeof(bf16), stage_bytes = 2 * tile_bytes;
constexpr int half = tile / 2, half_bytes = tile_bytes / 2;  // of a tile: 64 rows of a, or 64 columns of b
constexpr unsigned cluster = 2, both = 3;                    // blocks, and the bits of their ranks
static_assert(cluster == 2, "a pair of tiles, and half a tile of b, for each");
constexpr int copying = 40, multiplying = 232;  // registers a thread, of one warpgroup and of two
static_assert(copying + 2 * multiplying <= 3 * 168, "168: what a launch has of 384 threads");

struct Product {
  TensorMap a, b;  // boxes of 64 x 64
  Epilogue end;
  int pairs, column_tiles, steps, stages;  // pairs: of tiles
  float* column_sums;                      // (rows of pairs x 8, N); null: not wanted
};

struct Barriers {
  Mbarrier *full, *empty, *order;
};

/// An operand: `k_down`, stored [k][i], or [i][k]. Half a tile is a box of 64 x 64 either way.
template <bool k_down>
struct Side {
  /// Of the half that begins at i and k.
  static __device__ int row(int i, int k) { return k_down ? k : i; }
  static __device__ int column(int i, int k) { return k_down ? i : k; }

  static __device__ MatrixDescriptor describe(unsigned start) {
    return describe_swizzled(start, half_bytes, swizzle_tile);
  }
  /// From 16 of K to the next.
  static constexpr unsigned further = k_down ? 16 * swizzle_bytes : 16 * sizeof(bf16);
};

template <Layout a_layout, Layout b_layout, Activation then = Activation::none>
struct Kind {
  static constexpr bool a_down = a_layout == Layout::transposed, b_down = b_layout == Layout::plain;
  using A = Side<a_down>;
  using B = Side<b_down>;
  static constexpr Activation activation = then;
};

__device__ inline int rank() { return static_cast<int>(blockIdx.x % cluster); }

/// The tiles of a block, one of each pair of its cluster.
struct Tiles {
  int pair, apart;

  __device__ explicit Tiles(int which = 0, int of = 1) {
    const int clusters = static_cast<int>(gridDim.x / cluster);
    pair = static_cast<int>(blockIdx.x / cluster) + which * clusters;
    apart = of * clusters;
  }
  __device__ int m(const Product& p) const { return (pair / p.column_tiles * 2 + rank()) * tile; }
  __device__ int n(const Product& p) const { return pair % p.column_tiles * tile; }
};

/// Where in the ring of stages, and in which round of it.
struct Ring {
  unsigned stages, at = 0, parity = 0;

  __device__ void next() {
    if (++at < stages) return;
    at = 0;
    parity ^= 1;
  }
  __device__ void skip(unsigned count) {
    at += count;
    parity ^= at / stages & 1;
    at %= stages;
  }
};

/// One thread: all tiles of the block, step after step.
template <class K, class Shared>
__device__ void produce(const Product& p, Shared memory, Barriers barriers) {
  Ring ring{static_cast<unsigned>(p.stages)};
  constexpr unsigned half_elements = half_bytes / sizeof(bf16);
  for (Tiles tiles; tiles.pair < p.pairs; tiles.pair += tiles.apart) {
    const int m = tiles.m(p), n = tiles.n(p) + rank() * half;
    for (int s = 0; s < p.steps; ++s, ring.next()) {
      const int k = s * step;
      const auto a = memory + ring.at * (stage_bytes / sizeof(bf16)), b = a + 2 * half_elements;
      Mbarrier* full = barriers.full + ring.at;
      mbarrier_wait(barriers.empty + ring.at, ring.parity ^ 1);
      mbarrier_expect(full, stage_bytes);
      bulk_copy(a, p.a, K::A::row(m, k), K::A::column(m, k), full);
      bulk_copy(a + half_elements, p.a, K::A::row(m + half, k), K::A::column(m + half, k), full);
      bulk_copy_to(both, b + rank() * half_elements, p.b, K::B::row(n, k), K::B::column(n, k), full);
    }
  }
}

/// A warpgroup, the first or the second: the product of one tile.
template <class K>
__device__ void multiply(const Product& p, unsigned memory, Barriers barriers, int which, Ring& ring,
                         Accumulators (&sums)[2]) {
  const MatrixDescriptor a = K::A::describe(memory), b = K::B::describe(memory + tile_bytes);
  const bool speaks = threadIdx.x % lanes == 0;
  const auto release = [&](unsigned stage) {
    if (!speaks) return;
    for (unsigned block = 0; block < cluster; ++block) mbarrier_arrive_at(barriers.empty + stage, block);
  };
  unsigned before = 0;
  for (int s = 0; s < p.steps; ++s, ring.next()) {
    mbarrier_wait(barriers.full + ring.at, ring.parity);
    const unsigned stage = ring.at * stage_bytes;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < step / 16; ++k) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const auto right = b + (stage + k * K::B::further), left = a + (stage + k * K::A::further + h * half_bytes);
        wgmma<K::a_down, K::b_down>(sums[h], left, right, s > 0 || k > 0);
      }
    }
    wgmma_commit();
    if (s == p.steps - 1 && speaks) mbarrier_arrive(barriers.order + (1 - which));
    wgmma_wait<1>();
    if (s > 0) release(before);
    before = ring.at;
  }
  wgmma_wait_all(sums);
  release(before);
}

/// Sums over the 8 lanes that hold other rows of the same columns: of column lane / 4.
__device__ inline float sum_rows(float (&x)[8]) {
  const int own = static_cast<int>(threadIdx.x) % lanes / 4;
#pragma unroll
  for (int o = 4; o > 0; o /= 2) {
#pragma unroll
    for (int i = 0; i < o; ++i) {
      const bool upper = (own & o) != 0;
      const float kept = upper ? x[i + o] : x[i], given = upper ? x[i] : x[i + o];
      x[i] = kept + __shfl_xor_sync(full_warp, given, 4 * o);
    }
  }
  return x[0];
}

/// The sums of 32 columns, the q-th of four, of a thread's four rows: of columns 8 (lane % 4) to 8 (lane % 4) + 7.
template <int q>
__device__ void take_rows(const Accumulators (&sums)[2], float (&x)[4][8]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) words[i] = sums[h].at[4 * q + i].at[e];
      turn(words);
#pragma unroll
      for (int i = 0; i < 4; ++i) x[h * 2 + e / 2][2 * i + e % 2] = words[i];
    }
  }
}

/// The epilogue of a tile that begins at (m, n) of out.
template <class K>
__device__ void store_out(const Product& p, int m, int n, const Accumulators (&sums)[2]) {
  const int t = static_cast<int>(threadIdx.x) % warpgroup, warp = t / lanes, lane = t % lanes;
  const int first = m + 16 * warp + lane / 4;
  const int rows[4] = {first, first + 8, first + half, first + half + 8};
#pragma unroll 1
  for (int q = 0; q < 4; ++q) {
    float x[4][8], column_sum[8] = {};
    switch (q) {  // registers have no index that changes
      case 0:
        take_rows<0>(sums, x);
        break;
      case 1:
        take_rows<1>(sums, x);
        break;
      case 2:
        take_rows<2>(sums, x);
        break;
      default:
        take_rows<3>(sums, x);
    }
    const int column = n + 32 * q + lane % 4 * 8;
    finish<K::activation>(p.end, rows, column, x);
    if (!p.column_sums) continue;
#pragma unroll
    for (int i = 0; i < 32; ++i) column_sum[i % 8] += rows[i / 8] < p.end.M ? x[i / 8][i % 8] : 0.0f;
    const float sum = sum_rows(column_sum);
    const int row = m / tile * warps_of_a_tile + warp, own = column + lane / 4;
    if (own < p.end.N) p.column_sums[static_cast<long long>(row) * p.end.N + own] = sum;
  }
}

/// What the epilogue will read comes to L2 while the tile waits and is multiplied. A thread asks for a row, two lines
/// of bf16.
__device__ inline void prefetch_tile(const Rows8& v, int m, int n, const Epilogue& e) {
  const int row = m + static_cast<int>(threadIdx.x) % warpgroup;
  if (!v.data || row >= e.M) return;
  const auto* bytes = static_cast<const char*>(v.data);
  const int size = v.f32 ? 4 : 2, end = min(n + tile, e.N);
  for (int column = n; column < end; column += 128 / size) prefetch(bytes + (row * v.stride + column) * size);
}

/// A warpgroup, the first or the second: every other tile of the block.
template <class K>
__device__ void consume(const Product& p, unsigned memory, Barriers barriers, int which) {
  Ring ring{static_cast<unsigned>(p.stages)};
  unsigned order = which == 0;  // the parity to wait for: the first warpgroup begins
  ring.skip(static_cast<unsigned>(which * p.steps));
  for (Tiles tiles(which, 2); tiles.pair < p.pairs; tiles.pair += tiles.apart, order ^= 1) {
    const int m = tiles.m(p), n = tiles.n(p);
    if (K::activation == Activation::gelu_backward) prefetch_tile(p.end.pre, m, n, p.end);
    prefetch_tile(p.end.added, m, n, p.end);
    Accumulators sums[2];  // the first product of each does not add
    mbarrier_wait(barriers.order + which, order);
    multiply<K>(p, memory, barriers, which, ring, sums);
    store_out<K>(p, m, n, sums);
    ring.skip(static_cast<unsigned>(p.steps));
  }
}

template <class K>
__global__ void __launch_bounds__(threads, 1) wgmma_kernel(const __grid_constant__ Product p) {
  if (has_sm90) {                         // else nothing is left of it
    auto memory = dynamic_tiles<bf16>();  // (stages, tile of a and tile of b)
    Mbarrier* first = mbarriers<2 * most_stages + 2, 0>();
    const Barriers barriers{.full = first, .empty = first + most_stages, .order = first + 2 * most_stages};
    if (threadIdx.x == 0) {
      for (int s = 0; s < p.stages; ++s) {
        mbarrier_init(barriers.full + s, 1);
        mbarrier_init(barriers.empty + s, cluster * warps_of_a_tile);
      }
      for (int w = 0; w < 2; ++w) mbarrier_init(barriers.order + w, warps_of_a_tile);
      mbarrier_init_fence();
    }
    cluster_barrier();
    const int group = static_cast<int>(threadIdx.x) / warpgroup;
    if (group == 0) {
      fewer_registers<copying>();
      if (threadIdx.x == 0) produce<K>(p, memory, barriers);
    } else {
      more_registers<multiplying>();
      consume<K>(p, shared_address(memory), barriers, group - 1);
    }
    cluster_barrier();  // until then the other block copies to this one, and arrives at its barriers
  }
}

// ---- for the host ---------------------------------------------------------------------------------------------------

unsigned rows_of_pairs(const MatMul& s) { return blocks_for(s.m(), 2 * tile); }

/// Of sums of columns, which each warp finds in its rows.
unsigned table_rows(const MatMul& s) { return rows_of_pairs(s) * 2 * warps_of_a_tile; }

std::size_t workspace(const Device& device, const MatMul& s) {
  if (!takes_activation(s)) return passes_workspace(device, s);
  return s.column_sum ? column_workspace(device, s, table_rows(s)) : 0;
}

/// Beside the tiles 1 KiB is for the barriers, and for the GPU to align what follows them.
int stages_in(const Device& device) {
  const auto room = static_cast<int>(device.shared_memory) - 1024;
  return std::min(most_stages, room / stage_bytes);
}

template <Layout a, Layout b, Activation activation = Activation::none>
void start(Stream& stream, const Product& p) {
  const int clusters = std::clamp(stream.device().multiprocessors / static_cast<int>(cluster), 1, p.pairs);
  const Grid grid{.blocks = static_cast<unsigned>(clusters) * cluster,
                  .threads = threads,
                  .shared = static_cast<std::size_t>(p.stages) * stage_bytes,
                  .cluster = cluster};
  run_kernel(stream, grid, wgmma_kernel<Kind<a, b, activation>>, p);
}

void run(Stream& stream, const MatMul& s, void* scratch) {
  constexpr Layout plain = Layout::plain, transposed = Layout::transposed;
  if (!takes_activation(s)) {
    run(stream, product_of(s), scratch);
    return run_passes(stream, s, scratch);
  }
  const unsigned column_tiles = blocks_for(s.n(), tile);
  const Product p{.a = tensor_map(s.a, half),
                  .b = tensor_map(s.b, half),
                  .end = epilogue_of(s),
                  .pairs = static_cast<int>(rows_of_pairs(s) * column_tiles),
                  .column_tiles = static_cast<int>(column_tiles),
                  .steps = static_cast<int>(blocks_for(s.k(), step)),
                  .stages = stages_in(stream.device()),
                  .column_sums = s.column_sum ? static_cast<float*>(scratch) : nullptr};
  if (s.activation == Activation::gelu) {
    start<plain, transposed, Activation::gelu>(stream, p);
  } else if (s.activation == Activation::gelu_backward) {
    start<plain, plain, Activation::gelu_backward>(stream, p);
  } else if (s.a_layout == plain) {
    s.b_layout == plain ? start<plain, plain>(stream, p) : start<plain, transposed>(stream, p);
  } else {
    s.b_layout == plain ? start<transposed, plain>(stream, p) : start<transposed, transposed>(stream, p);
  }
  if (s.column_sum) add_columns(stream, s, table_rows(s), scratch);
}

const char* refuses(const Device& device, const MatMul& s) {
  if (device.kind == DeviceKind::cuda && device.capability != 90) return "wgmma is of compute capability 9.0 alone";
  if (stages_in(device) < 2) return "two stages of 32 KiB exceed a block's shared memory";
  if (s.a.dtype != DType::bf16) return "this row has bf16 only";
  if (!fits_tensor_map(s.a) || !fits_tensor_map(s.b))
    return "bulk copies need rows that start at multiples of 16 bytes";
  if (const char* reason = too_large(s)) return reason;
  const bool planned = device.kind == DeviceKind::simt || !with_cuda;  // then simt's row stands for it
  return planned || with_sm90a ? nullptr : "this build has no code for sm_90a";
}

}  // namespace
}  // namespace kernels::MAE_GPU

namespace kernels {
template <>
Variant<MatMul> row<MAE_GPU::Wgmma, MatMul>() {
  return {.name = "wgmma", .refuses = MAE_GPU::refuses, .workspace = MAE_GPU::workspace, .run = MAE_GPU::run};
}
}  // namespace kernels
