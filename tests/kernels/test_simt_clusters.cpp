// Clusters on the simt device: blocks that copy to each other, and arrive at each other's barriers, and each fault
// beside a twin that passes.
#include "tests/support/tiles.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted_in_orders;
using test::stopped_in_orders;
using test::Whole;

constexpr int K = 64;
constexpr unsigned half_tile = 64 * K, half_bytes = 2 * half_tile;  // of a (128, 64) tile

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
  const std::string place = "(test_simt_clusters.cpp:";
  CHECK(lacks(stops_apart<Apart::no_barrier>(),
              {"uses an mbarrier that thread 0 of another block initialises: no barrier is between them", place}) ==
        "");
  CHECK(lacks(stops_apart<Apart::own_array_alone>(), {"uses an mbarrier that another block has not made", place}) ==
        "");
  const std::string lands = "runs last, and a bulk copy lands in a block that has ended";
  CHECK(lacks(stops_apart<Apart::leaves>(), {lands}) == "");
  CHECK(lacks(stops_apart<Apart::only_one_comes>(), {lands}) == "");
  CHECK(lacks(stops_apart<Apart::no_such_block>(), {"names block 2 of its cluster", place}) == "");
}

/// All threads of the second block arrive in the first and leave; one of the first then arrives in the second.
__global__ void left_kernel() {
  Mbarrier* b = mbarriers<1, 0>();
  if (threadIdx.x == 0) {
    mbarrier_init(b, 64);
    mbarrier_init_fence();
  }
  cluster_barrier();
  if (blockIdx.x == 1) return mbarrier_arrive_at(b, 0);
  mbarrier_wait(b, 0);
  if (threadIdx.x == 0) mbarrier_arrive_at(b, 1);
}

__global__ void barrier_kernel(bool both) {
  if (both || blockIdx.x == 0) cluster_barrier();
}
__global__ void mixed_kernel() {
  if (threadIdx.x < 32) cluster_barrier();
  else __syncthreads();
}
__global__ void mixed_in_a_line_kernel() { threadIdx.x < 32 ? cluster_barrier() : __syncthreads(); }
__global__ void two_lines_kernel() {
  if (blockIdx.x == 0) cluster_barrier();
  else cluster_barrier();
}

TEST_CASE("simt: a cluster barrier that not all reach, and grids of no whole clusters") {
  const Grid two{.blocks = 2, .threads = 64, .cluster = 2};
  planted_in_orders(two, barrier_kernel, true);
  CHECK(lacks(stopped_in_orders(two, barrier_kernel, false),
              {"has ended, and others of its block or cluster wait at a barrier, at test_simt_clusters.cpp:"}) == "");
  const std::string another = "is at another barrier than others of its block or cluster, which wait at ";
  CHECK(lacks(stopped_in_orders(two, mixed_kernel), {another}) == "");
  CHECK(lacks(stopped_in_orders(two, mixed_in_a_line_kernel), {another}) == "");
  CHECK(lacks(stopped_in_orders(two, two_lines_kernel), {another}) == "");
  CHECK(lacks(stopped_in_orders(two, left_kernel), {"uses an mbarrier of a block that has ended"}) == "");
  for (const Grid wrong : {Grid{3, 32, 0, 2}, Grid{16, 32, 0, 16}, Grid{2, 32, 0, 0}})
    CHECK_THROWS_WITH(test::planted(wrong, barrier_kernel, true), ContainsSubstring("whole clusters, of at most 8"));
}

}  // namespace
}  // namespace kernels::simt
