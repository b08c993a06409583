// Hopper's words on the simt device: bulk copies, mbarriers, products of a warpgroup and clusters, against plain loops,
// and each fault beside a twin that passes.
#include <algorithm>

#include "kernels/cuda/sm90.cuh"
#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted_in_orders;
using test::stopped_in_orders;

constexpr int M = 64, N = 128, K = 64;          // what the kernel multiplies
constexpr unsigned half_tile = 64 * K;          // elements of 64 rows of a, or 64 columns of b
constexpr unsigned half_bytes = 2 * half_tile;  // three of them are copied
constexpr unsigned all_bytes = 3 * half_bytes;

/// A matrix of whole numbers, which sums of 64 products keep exactly.
struct Whole {
  int rows, columns;
  std::vector<bf16> values;

  Whole(int r, int c, std::uint32_t state) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {
    for (bf16& x : values) {
      state = state * 1664525u + 1013904223u;
      x = bf16(static_cast<float>(static_cast<int>(state >> 24) % 31 - 15));
    }
  }
  float at(int r, int c) const {
    return r < rows && c < columns ? static_cast<float>(values[static_cast<std::size_t>(r * columns + c)]) : 0.0f;
  }
  TensorMap map() const {
    return {.data = values.data(), .stride = columns, .rows = rows, .columns = columns, .box_rows = 64};
  }
};

/// What a kernel leaves out or does wrong.
enum class Fault {
  none,
  no_wait,
  one_does_not_wait,
  too_few_bytes,
  too_many_bytes,
  no_fence,
  no_commit,
  no_wait_for_products,
  copies_over,
  half_a_warpgroup,
  another_product,
  another_line,
  unaligned_copy,
  unaligned_tile,
  not_swizzled,
  by_a_thread,
  no_init,
  no_fence_behind_init,
  no_barrier,
  too_many_arrivals,
  ends_early
};

/// 256 threads: thread 0 copies, the second warpgroup multiplies and writes (M, N) sums.
template <bool a_down, bool b_down, Fault How>
__global__ void product_kernel(TensorMap a, TensorMap b, float* c) {
  auto memory = dynamic_tiles<bf16>();
  Mbarrier* full = mbarriers<1, 0>();
  if (threadIdx.x == 0) {
    if (How != Fault::no_init) mbarrier_init(full, 1);
    if (How != Fault::no_fence_behind_init) mbarrier_init_fence();
  }
  if (How == Fault::by_a_thread && threadIdx.x == 1) memory[0] = bf16(1.0f);
  if (How != Fault::no_barrier) __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_expect(full, How == Fault::too_few_bytes    ? all_bytes - 128
                          : How == Fault::too_many_bytes ? all_bytes + 128
                          : How == Fault::by_a_thread    ? all_bytes - half_bytes
                                                         : all_bytes);
    if (How == Fault::too_many_arrivals) mbarrier_arrive(full);
    if (How != Fault::by_a_thread) bulk_copy(memory + (How == Fault::unaligned_copy ? 64 : 0), a, 0, 0, full);
    bulk_copy(memory + half_tile, b, 0, 0, full);
    bulk_copy(memory + 2 * half_tile, b, b_down ? 0 : 64, b_down ? 64 : 0, full);
  }
  if (threadIdx.x < 128 || How == Fault::ends_early) return;
  if (How != Fault::no_wait && !(How == Fault::one_does_not_wait && threadIdx.x == 150)) mbarrier_wait(full, 0);

  Accumulators sums[1];
  const unsigned start = shared_address(memory) + (How == Fault::unaligned_tile ? 128 : 0);
  auto left = describe_swizzled(start, half_bytes, swizzle_tile);
  const auto right = describe_swizzled(shared_address(memory + half_tile), half_bytes, swizzle_tile);
  if (How == Fault::not_swizzled) left.bits &= ~(1ull << 62);
  const unsigned first = How == Fault::another_product && threadIdx.x == 200;  // the one that does not add
  if (How != Fault::no_fence) wgmma_fence();
  for (unsigned k = 0; k < K / 16; ++k)
    wgmma<a_down, b_down>(sums[0], left + k * (a_down ? 2048 : 32), right + k * (b_down ? 2048 : 32), k > first);
  if (How == Fault::no_commit) return;
  wgmma_commit();
  if (How == Fault::copies_over && threadIdx.x == 255) bulk_copy(memory, a, 0, 0, full);
  if (How == Fault::half_a_warpgroup && threadIdx.x < 192) return;
  if (How == Fault::no_wait_for_products) return;
  if (How == Fault::another_line && threadIdx.x == 130) {
    wgmma_wait_all(sums);
  } else {
    wgmma_wait_all(sums);
  }

  const int lane = static_cast<int>(threadIdx.x) % lanes, warp = static_cast<int>(threadIdx.x) / lanes - 4;
  for (int j = 0; j < 16; ++j) {
    for (int e = 0; e < 4; ++e)
      c[(16 * warp + lane / 4 + e / 2 * 8) * N + 8 * j + lane % 4 * 2 + e % 2] = sums[0].at[j].at[e];
  }
}

constexpr Grid grid{.blocks = 1, .threads = 256, .shared = all_bytes};

template <bool a_down, bool b_down>
void check_product(int rows, int columns, int depth) {
  const Whole a(a_down ? depth : rows, a_down ? rows : depth, 1),
      b(b_down ? depth : columns, b_down ? columns : depth, 2);
  std::vector<float> c(M * N, -1.0f), expected(M * N, 0.0f);
  for (int m = 0; m < M; ++m) {
    for (int n = 0; n < N; ++n) {
      for (int k = 0; k < K; ++k)
        expected[static_cast<std::size_t>(m * N + n)] +=
            (a_down ? a.at(k, m) : a.at(m, k)) * (b_down ? b.at(k, n) : b.at(n, k));
    }
  }
  planted_in_orders(grid, product_kernel<a_down, b_down, Fault::none>, a.map(), b.map(), c.data());
  INFO("k down in a: " << a_down << ", in b: " << b_down << "; " << rows << " x " << columns << " x " << depth);
  CHECK(c == expected);
}

TEST_CASE("simt: a warpgroup multiplies what bulk copies bring, in every layout, with zeros beyond the edges") {
  for (const auto& [rows, columns, depth] : {std::array{64, 128, 64}, std::array{50, 70, 40}}) {
    check_product<false, false>(rows, columns, depth);
    check_product<false, true>(rows, columns, depth);
    check_product<true, false>(rows, columns, depth);
    check_product<true, true>(rows, columns, depth);
  }
}

template <Fault How>
std::string stops() {
  const Whole a(M, K, 1), b(N, K, 2);
  std::vector<float> c(M * N);
  return stopped_in_orders(grid, product_kernel<false, false, How>, a.map(), b.map(), c.data());
}

TEST_CASE("simt: tiles that have not come, or not as they should") {
  const std::string place = "(test_simt_warpgroup.cpp:", element = " of the shared array bf16 [12288], dynamic, which ";
  const std::string brings = "uses what a bulk copy brings, and has not waited for that";
  CHECK(lacks(stops<Fault::no_wait>(), {brings, place}) == "");
  CHECK(lacks(stops<Fault::one_does_not_wait>(), {"thread 150 ", brings, place}) == "");
  CHECK(lacks(stops<Fault::by_a_thread>(), {" multiplies element ", element, "thread 1 writes at line ",
                                            ": wgmma sees what bulk copies bring"}) == "");
  CHECK(lacks(stops<Fault::unaligned_copy>(),
              {"copies a tile to an address that is not a multiple of 1024 bytes", place}) == "");
  CHECK(lacks(stops<Fault::unaligned_tile>(),
              {"multiplies a tile whose 8 rows do not start at a multiple of 1024 bytes", place}) == "");
  CHECK(lacks(stops<Fault::not_swizzled>(), {"multiplies a tile that is not swizzled by 128 bytes", place}) == "");
  CHECK(lacks(stops<Fault::copies_over>(), {"copies over a tile that a product at test_simt_warpgroup.cpp:",
                                            " reads: it has not been waited for", place}) == "");
  CHECK(lacks(stops<Fault::ends_early>(), {"runs last, and a bulk copy lands in a block that has ended"}) == "");
}

TEST_CASE("simt: mbarriers that are not made, or never end") {
  const std::string place = "(test_simt_warpgroup.cpp:";
  CHECK(lacks(stops<Fault::no_init>(), {"uses an mbarrier that nobody has initialised", place}) == "");
  CHECK(lacks(stops<Fault::no_fence_behind_init>(),
              {"uses an mbarrier that was initialised without a fence behind", place}) == "");
  CHECK(lacks(stops<Fault::no_barrier>(), {"uses an mbarrier that "}) == "");  // nobody, or thread 0, as the order is
  CHECK(lacks(stops<Fault::too_few_bytes>(),
              {"waits at an mbarrier for 0 arrivals and -128 bytes that do not come", place}) == "");
  CHECK(lacks(stops<Fault::too_many_bytes>(),
              {"waits at an mbarrier for 0 arrivals and 128 bytes that do not come", place}) == "");
  CHECK(lacks(stops<Fault::too_many_arrivals>(),
              {"arrives at an mbarrier whose phase has had all its arrivals", place}) == "");
}

TEST_CASE("simt: products that a warpgroup does not ask for together, or does not wait for") {
  const std::string place = "(test_simt_warpgroup.cpp:";
  CHECK(lacks(stops<Fault::no_fence>(), {"multiplies without a wgmma.fence since it last waited", place}) == "");
  CHECK(lacks(stops<Fault::no_commit>(), {"ends with products that it has not waited for"}) == "");
  CHECK(lacks(stops<Fault::no_wait_for_products>(), {"ends with products that it has not waited for"}) == "");
  CHECK(lacks(stops<Fault::half_a_warpgroup>(),
              {"waits for products with 64 of the 128 threads of its warpgroup", place}) == "");
  CHECK(lacks(stops<Fault::another_product>(), {"waits for other products than thread ", place}) == "");
  CHECK(lacks(stops<Fault::another_line>(), {"waits for products elsewhere than thread ", place}) == "");
}

// ---- clusters -------------------------------------------------------------------------------------------------------

/// What blocks of a cluster do wrong.
enum class Apart { none, no_barrier, leaves, only_one_comes, no_such_block, own_array_alone };

/// Two blocks of 128 threads: each copies one half of a (128, 64) tile to both, and thread t of both adds up row t.
template <Apart How>
__global__ void halves_kernel(TensorMap from, float* sums) {
  auto memory = dynamic_tiles<bf16>();
  const unsigned rank = blockIdx.x % 2;
  Mbarrier* full = mbarriers<2, 0>();
  if (How == Apart::own_array_alone && rank == 1) return;
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    mbarrier_init(full + 1, 2);
    mbarrier_init_fence();
  }
  if (How == Apart::no_barrier) __syncthreads();
  else if (How != Apart::own_array_alone) cluster_barrier();
  if (How == Apart::only_one_comes && rank == 1) return;
  if (threadIdx.x == 0) {
    mbarrier_expect(full, 2 * half_bytes);
    bulk_copy_to(3, memory + rank * half_tile, from, static_cast<int>(rank) * 64, 0, full);
  }
  if (How == Apart::leaves && rank == 1) return;
  mbarrier_wait(full, 0);
  const int t = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int k = 0; k < K; ++k) {
    const bf16 x = memory[static_cast<int>(swizzled(static_cast<unsigned>(t * K + k) * 2) / 2)];
    sum += static_cast<float>(x);
  }
  sums[blockIdx.x * 128 + threadIdx.x] = sum;
  if (t == 0) mbarrier_arrive_at(full + 1, How == Apart::no_such_block ? 2 : 1 - rank);
  if (t == 0) mbarrier_arrive_at(full + 1, rank);
  mbarrier_wait(full + 1, 0);
  cluster_barrier();
}

constexpr Grid pairs{.blocks = 4, .threads = 128, .shared = 2 * half_bytes, .cluster = 2};

TEST_CASE("simt: blocks of a cluster copy to each other and arrive at each other's barriers") {
  const Whole from(128, K, 3);
  std::vector<float> sums(4 * 128), expected(4 * 128);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (int k = 0; k < K; ++k) expected[i] += from.at(static_cast<int>(i % 128), k);
  }
  planted_in_orders(pairs, halves_kernel<Apart::none>, from.map(), sums.data());
  CHECK(sums == expected);
}

template <Apart How>
std::string stops_apart() {
  const Whole from(128, K, 3);
  std::vector<float> sums(4 * 128);
  return stopped_in_orders(pairs, halves_kernel<How>, from.map(), sums.data());
}

TEST_CASE("simt: blocks of a cluster that are not there yet, or any more") {
  const std::string place = "(test_simt_warpgroup.cpp:";
  CHECK(lacks(stops_apart<Apart::no_barrier>(), {"uses an mbarrier that "}) == "");  // not made, or not in order
  CHECK(lacks(stops_apart<Apart::own_array_alone>(), {"uses an mbarrier that another block has not made", place}) ==
        "");
  CHECK(lacks(stops_apart<Apart::leaves>(), {" ended"}) == "");
  CHECK(lacks(stops_apart<Apart::only_one_comes>(), {" ended"}) == "");
  CHECK(lacks(stops_apart<Apart::no_such_block>(), {"names block 2 of its cluster", place}) == "");
}

__global__ void barrier_kernel(bool both) {
  if (both || blockIdx.x == 0) cluster_barrier();
}
__global__ void mixed_kernel() {
  if (threadIdx.x < 32) cluster_barrier();
  else __syncthreads();
}

TEST_CASE("simt: a cluster barrier that not all reach, and grids of no whole clusters") {
  const Grid two{.blocks = 2, .threads = 64, .cluster = 2};
  planted_in_orders(two, barrier_kernel, true);
  CHECK(lacks(stopped_in_orders(two, barrier_kernel, false),
              {"has ended, and others of its block or cluster wait at a barrier, at test_simt_warpgroup.cpp:"}) == "");
  CHECK(lacks(stopped_in_orders(two, mixed_kernel), {"is at another barrier than others of its block or cluster"}) ==
        "");
  for (const Grid wrong : {Grid{3, 32, 0, 2}, Grid{16, 32, 0, 16}, Grid{2, 32, 0, 0}})
    CHECK_THROWS_WITH(test::planted(wrong, barrier_kernel, true), ContainsSubstring("whole clusters, of at most 8"));
}

}  // namespace
}  // namespace kernels::simt
