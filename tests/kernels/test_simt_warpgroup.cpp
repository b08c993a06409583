// Hopper's words on the simt device: bulk copies, mbarriers and products of a warpgroup, against plain loops, and
// each fault beside a twin that passes.
#include "tests/support/tiles.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted_in_orders;
using test::stopped;
using test::stopped_in_orders;
using test::Whole;

constexpr int M = 64, N = 128, K = 64;  // what the kernel multiplies
constexpr unsigned half_tile = 64 * K;  // elements of 64 rows of a, or 64 columns of b
constexpr unsigned half_bytes = 2 * half_tile, all_bytes = 3 * half_bytes;

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
  if (How != Fault::no_barrier) __syncthreads();
  if (threadIdx.x == 0) {
    const int more = How == Fault::too_few_bytes ? -128 : How == Fault::too_many_bytes ? 128 : 0;
    mbarrier_expect(full, all_bytes + static_cast<unsigned>(more));
    if (How == Fault::too_many_arrivals) mbarrier_arrive(full);
    bulk_copy(memory + (How == Fault::unaligned_copy ? 64 : 0), a, 0, 0, full);
    bulk_copy(memory + half_tile, b, 0, 0, full);
    bulk_copy(memory + 2 * half_tile, b, b_down ? 0 : 64, b_down ? 64 : 0, full);
  }
  if (threadIdx.x < 128 || How == Fault::ends_early) return;
  if (How != Fault::no_wait && !(How == Fault::one_does_not_wait && threadIdx.x == 150)) mbarrier_wait(full, 0);
  __syncwarp();  // behind others that have waited
  if (How == Fault::by_a_thread && threadIdx.x == 131) memory[5] = bf16(1.0f);

  Accumulators sums[1];
  const unsigned start = shared_address(memory) + (How == Fault::unaligned_tile ? 128 : 0);
  auto left = describe_swizzled(start, half_bytes, swizzle_tile);
  const auto right = describe_swizzled(shared_address(memory + half_tile), half_bytes, swizzle_tile);
  if (How == Fault::not_swizzled) left.bits &= ~(1ull << 62);
  const unsigned first = How == Fault::another_product && threadIdx.x == 200;  // the one that does not add
  if (How != Fault::no_fence) wgmma_fence();
  for (unsigned k = 0; k < K / 16; ++k)
    wgmma<a_down, b_down>(sums[0], left + k * (a_down ? 2048 : 32), right + k * (b_down ? 2048 : 32), k > first);
  if (How != Fault::no_commit) wgmma_commit();
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
  CHECK(lacks(stops<Fault::no_wait>(), {" multiplies element ", element, "a bulk copy at line ",
                                        " fills: it has not been waited for", place}) == "");
  CHECK(lacks(stops<Fault::one_does_not_wait>(), {"thread 150 multiplies element ", element, "a bulk copy at line ",
                                                  " brings: this thread has not waited at its mbarrier", place}) == "");
  CHECK(lacks(stops<Fault::by_a_thread>(), {" multiplies element ", element, "thread 131 writes at line ",
                                            ": wgmma sees what bulk copies bring"}) == "");
  CHECK(lacks(stops<Fault::unaligned_copy>(),
              {"copies a tile to an address that is not a multiple of 1024 bytes", place}) == "");
  CHECK(lacks(stops<Fault::unaligned_tile>(),
              {"multiplies a tile whose 8 rows do not start at a multiple of 1024 bytes", place}) == "");
  CHECK(lacks(stops<Fault::not_swizzled>(), {"multiplies a tile that is not swizzled by 128 bytes", place}) == "");
  CHECK(lacks(stops<Fault::copies_over>(),
              {" writes element ", element, "a product at line ", " reads: it has not been waited for", place}) == "");
  CHECK(lacks(stops<Fault::ends_early>(), {"runs last, and a bulk copy lands in a block that has ended"}) == "");
}

TEST_CASE("simt: mbarriers that are not made, or never end") {
  const std::string place = "(test_simt_warpgroup.cpp:";
  CHECK(lacks(stops<Fault::no_init>(), {"uses an mbarrier that nobody has initialised", place}) == "");
  CHECK(lacks(stops<Fault::no_fence_behind_init>(),
              {"uses an mbarrier that was initialised without a fence behind", place}) == "");
  CHECK(lacks(stops<Fault::no_barrier>(),
              {"uses an mbarrier that thread 0 initialises: no barrier is between them", place}) == "");
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

/// 64 threads read a tile that is copied twice.
enum class Rounds { none, one_waits_for_the_first, one_does_not_wait, one_writes, copies_at_once, waits_for_another };

template <Rounds How>
__global__ void rounds_kernel(TensorMap from, float* out) {
  auto memory = dynamic_tiles<bf16>();
  Mbarrier* full = mbarriers<2, 0>();
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    mbarrier_init(full, 1);
    mbarrier_init(full + 1, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  const auto bring = [&](int row, unsigned to, Mbarrier* b) {
    mbarrier_expect(b, half_bytes);
    bulk_copy(memory + to, from, row, 0, b);
  };
  if (t == 0) bring(0, 0, full);
  if (t == 0 && How == Rounds::copies_at_once) bring(64, 0, full + 1);
  if (t == 0 && How == Rounds::waits_for_another) bring(64, half_tile, full + 1);
  const auto read = [&](int at) {
    const bf16 x = memory[at];
    return static_cast<float>(x);
  };
  if (!(How == Rounds::one_does_not_wait && t == 5)) mbarrier_wait(full, 0);
  out[t] = read(How == Rounds::waits_for_another ? half_tile : 0);
  __syncthreads();
  if (t == 0) bring(64, 0, full);
  const bool waits = !(t == 5 && (How == Rounds::one_waits_for_the_first || How == Rounds::one_writes));
  if (waits) mbarrier_wait(full, 1);
  __syncthreads();
  if (How == Rounds::one_writes && t == 5) memory[9] = bf16(1.0f);
  out[64 + t] = read(0);
}

constexpr Grid one_tile{.blocks = 1, .threads = 64, .shared = 2 * half_bytes};

template <Rounds How>
std::string stops_in_rounds() {
  const Whole from(128, K, 3);
  std::vector<float> out(128);
  return stopped_in_orders(one_tile, rounds_kernel<How>, from.map(), out.data());
}

TEST_CASE("simt: a thread waits for each phase in which something lands that it uses") {
  const Whole from(128, K, 3);
  std::vector<float> out(128);
  planted_in_orders(one_tile, rounds_kernel<Rounds::none>, from.map(), out.data());
  CHECK(out[63] == from.at(0, 0));
  CHECK(out[127] == from.at(64, 0));
  const std::string which = " of the shared array bf16 [8192], dynamic, which a bulk copy at line ";
  const std::string brings = " brings: this thread has not waited at its mbarrier", place = "(test_simt_warpgroup.cpp:";
  CHECK(lacks(stops_in_rounds<Rounds::one_waits_for_the_first>(), {"thread 5 reads element 0", which, brings, place}) ==
        "");
  CHECK(lacks(stops_in_rounds<Rounds::one_does_not_wait>(), {"thread 5 reads element 0", which, " fills: ", place}) ==
        "");
  CHECK(lacks(stops_in_rounds<Rounds::one_writes>(), {"thread 5 writes element 9", which, brings, place}) == "");
  CHECK(lacks(stops_in_rounds<Rounds::copies_at_once>(), {"thread 0 writes element 0", which, " fills: ", place}) ==
        "");
  std::vector<float> unread(128);  // in the natural order the first copy lands first, and alone
  CHECK(lacks(stopped(one_tile, rounds_kernel<Rounds::waits_for_another>, from.map(), unread.data()),
              {"thread 0 reads element 4096", which, " fills: ", place}) == "");
}

/// One warpgroup multiplies two tiles of a, in a group each, and copies over one of them.
enum class Groups { none, over_the_second, before_others_have_waited, second_round_without_fence };

template <Groups How>
__global__ void groups_kernel(TensorMap a, TensorMap b) {
  auto memory = dynamic_tiles<bf16>();
  Mbarrier* full = mbarriers<1, 0>();
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    mbarrier_init_fence();
    mbarrier_expect(full, 4 * half_bytes);
    for (int i = 0; i < 4; ++i)
      bulk_copy(memory + i * static_cast<int>(half_tile), i < 2 ? a : b, i < 2 ? 0 : (i - 2) * 64, 0, full);
  }
  __syncthreads();
  mbarrier_wait(full, 0);
  Accumulators sums[2];
  const unsigned start = shared_address(memory);
  const auto right = describe_swizzled(start + 2 * half_bytes, half_bytes, swizzle_tile);
  wgmma_fence();
  for (unsigned i = 0; i < 2; ++i) {
    wgmma<false, false>(sums[i], describe_swizzled(start + i * half_bytes, half_bytes, swizzle_tile), right, false);
    wgmma_commit();
  }
  wgmma_wait<1>();
  if (How != Groups::before_others_have_waited) __syncthreads();
  const unsigned over = How == Groups::over_the_second ? half_tile : 0;
  if (threadIdx.x == 127) {
    mbarrier_expect(full, half_bytes);
    bulk_copy(memory + over, a, 0, 0, full);
  }
  wgmma_wait_all(sums);
  mbarrier_wait(full, 1);
  if (How == Groups::second_round_without_fence)
    wgmma<false, false>(sums[0], describe_swizzled(start, half_bytes, swizzle_tile), right, false);
}

TEST_CASE("simt: a tile is free when its group has been waited for, by the warps that read it") {
  const Whole a(M, K, 1), b(N, K, 2);
  const Grid of_four{.blocks = 1, .threads = 128, .shared = 4 * half_bytes};
  planted_in_orders(of_four, groups_kernel<Groups::none>, a.map(), b.map());
  const std::string reads = ", dynamic, which a product at line ";
  CHECK(lacks(stopped_in_orders(of_four, groups_kernel<Groups::over_the_second>, a.map(), b.map()),
              {"thread 127 writes element 4096 ", reads, " reads: it has not been waited for"}) == "");
  CHECK(lacks(stopped(of_four, groups_kernel<Groups::before_others_have_waited>, a.map(), b.map()),
              {"thread 127 writes element 0 ", reads, " reads: it has not been waited for"}) == "");
  CHECK(lacks(stopped_in_orders(of_four, groups_kernel<Groups::second_round_without_fence>, a.map(), b.map()),
              {"multiplies without a wgmma.fence since it last waited"}) == "");
}

__global__ void arrivals_kernel(unsigned arrivals, unsigned who_fences) {
  Mbarrier* b = mbarriers<1, 0>();
  if (threadIdx.x == 0) mbarrier_init(b, arrivals);
  if (threadIdx.x == who_fences) mbarrier_init_fence();
  __syncthreads();
  if (threadIdx.x == 0) mbarrier_arrive(b);
  mbarrier_wait(b, 0);
}
__global__ void full_room_kernel() {
  dynamic_tiles<bf16>();
  mbarriers<1, 0>();
}
__global__ void unwritten_kernel() {
  auto memory = dynamic_tiles<bf16>();
  Accumulators sums[1];
  const auto tile = describe_swizzled(shared_address(memory), half_bytes, swizzle_tile);
  wgmma_fence();
  wgmma<false, false>(sums[0], tile, tile, false);
}
__global__ void no_warpgroup_kernel() {
  if (threadIdx.x >= 128) wgmma_wait<0>();
}

TEST_CASE("simt: arrivals, fences, room and warpgroups that are not there") {
  const Grid one_warp{.blocks = 1, .threads = 32};
  planted_in_orders(one_warp, arrivals_kernel, 1, 0);
  CHECK(lacks(stopped_in_orders(one_warp, arrivals_kernel, 2, 0),
              {"waits at an mbarrier for 1 arrivals and 0 bytes that do not come"}) == "");
  CHECK(lacks(stopped_in_orders(one_warp, arrivals_kernel, 0, 0), {"initialises an mbarrier with no arrivals"}) == "");
  CHECK(lacks(stopped_in_orders(one_warp, arrivals_kernel, 1, 7), {"was initialised without a fence behind"}) == "");
  const std::size_t most = find_device("simt").shared_memory;
  CHECK(lacks(stopped_in_orders({.blocks = 1, .threads = 32, .shared = most}, full_room_kernel),
              {"asks for " + std::to_string(most + 8) + " bytes of shared memory"}) == "");
  CHECK(lacks(stopped_in_orders({.blocks = 1, .threads = 128, .shared = 16384}, unwritten_kernel),
              {"multiplies element 0 of the shared array bf16 [8192], dynamic, which nobody has written"}) == "");
  CHECK(lacks(stopped_in_orders({.blocks = 1, .threads = 160}, no_warpgroup_kernel), {"is in no whole warpgroup"}) ==
        "");
}

}  // namespace
}  // namespace kernels::simt
