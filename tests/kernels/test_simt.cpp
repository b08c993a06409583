// The simt device itself, by kernels planted here: limits of a launch, barriers, orders of threads and blocks, fibers.
// Each fault has a twin that passes. Shared memory, wide accesses and copies, warps: test_simt_*.cpp.
#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

#include "tests/support/operand.h"
#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::planted;
using test::planted_in_orders;
using test::stopped_in_orders;

constexpr std::size_t KiB = 1024;

// ---- limits of a launch ---------------------------------------------------------------------------------------------

__global__ void index_kernel(unsigned* out) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x + 10000 * blockIdx.x + 1000000 * gridDim.x;
}

TEST_CASE("simt: every thread of every block runs once, with its indices") {
  for (const unsigned threads : {32u, 96u, 1024u}) {
    std::vector<unsigned> out(3 * threads);
    planted({3, threads}, index_kernel, out.data());
    for (unsigned i = 0; i < out.size(); ++i) CHECK(out[i] == i % threads + 10000 * (i / threads) + 3000000);
  }
}

TEST_CASE("simt: a grid that a GPU, or the house, refuses") {
  unsigned* none = nullptr;
  for (const Grid grid : {Grid{0, 32}, Grid{1, 0}, Grid{1, 33}, Grid{1, 1056}, Grid{1, 4294967264u}})
    CHECK_THROWS_WITH(planted(grid, index_kernel, none),
                      ContainsSubstring("simt, planted=row: ") && ContainsSubstring("at most 1024 threads"));
  const std::size_t most = find_device("simt").shared_memory;
  std::vector<unsigned> out(32);
  CHECK_NOTHROW(planted({1, 32, most}, index_kernel, out.data()));
  CHECK_THROWS_WITH(planted({1, 32, most + 1}, index_kernel, out.data()),
                    ContainsSubstring(std::to_string(most + 1) + " bytes of dynamic shared memory"));
}

template <int Count>
__global__ void static_kernel() {
  auto large = shared<float, Count, 0>();
  auto small = shared<float, 256, 1>();
  if (threadIdx.x == 0) large[Count - 1] = 1, small[0] = 1;
}

TEST_CASE("simt: more shared memory than a block can have") {
  CHECK_NOTHROW(planted({1, 32}, static_kernel<48 * 256 - 256>));
  CHECK_THROWS_WITH(planted({1, 32}, static_kernel<48 * 256 - 255>),
                    ContainsSubstring("block 0, thread 0 asks for 49156 bytes of static shared memory"));
  const std::size_t most = find_device("simt").shared_memory;
  CHECK_NOTHROW(planted({1, 32, most - 48 * KiB}, static_kernel<48 * 256 - 256>));
  CHECK_THROWS_WITH(planted({1, 32, most - 48 * KiB + 1}, static_kernel<48 * 256 - 256>),
                    ContainsSubstring("asks for " + std::to_string(most + 1) + " bytes of shared memory"));
}

__global__ void nested_kernel(Stream* stream) {
  unsigned* none = nullptr;
  run_kernel(*stream, {1, 32}, index_kernel, none);
}

TEST_CASE("simt: a kernel does not start another") {
  Stream stream(find_device("simt"));
  CHECK_THROWS_WITH(planted({1, 32}, nested_kernel, &stream), ContainsSubstring("a kernel starts a kernel"));
}

#if defined(MAE_ASAN)
TEST_CASE("simt: the bytes around an operand of the battery, and behind scratch, are out of bounds") {
  Stream stream(find_device("simt"));
  test::Operand operand(stream.device(), view_of(nullptr, DType::f32, {3, 5}), 1);
  operand.upload(stream);
  const auto* first = static_cast<const float*>(operand.view().data);
  CHECK(__asan_region_is_poisoned(const_cast<float*>(first), 15 * sizeof(float)) == nullptr);
  CHECK(__asan_address_is_poisoned(first - 2));  // -1 shares a word with 0, and words are what the sanitizer knows
  CHECK(__asan_address_is_poisoned(first + 15));
  operand.download(stream);
  CHECK_FALSE(__asan_address_is_poisoned(first + 15));
  void* scratch = allocate(stream.device(), 100);
  CHECK(__asan_address_is_poisoned(static_cast<std::byte*>(scratch) + 100));
  release(stream.device(), scratch);
}
#endif

// ---- barriers -------------------------------------------------------------------------------------------------------

enum class Barrier { whole, two_lines, ended, counts };

template <Barrier How>
__global__ void barrier_kernel(int* out) {
  const unsigned t = threadIdx.x;
  if (How == Barrier::two_lines && blockIdx.x == 1) {
    if (t < 40) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else if (How == Barrier::ended && blockIdx.x == 1 && t == 37) {
    return;
  } else {
    for (unsigned i = 0; i < (How == Barrier::counts && t >= 32 ? 2 : 3); ++i) __syncthreads();
  }
  out[blockIdx.x * blockDim.x + t] = 1;
}

TEST_CASE("simt: a barrier that not all threads of a block reach") {
  std::vector<int> out(2 * 64);
  planted_in_orders({2, 64}, barrier_kernel<Barrier::whole>, out.data());
  CHECK(std::accumulate(out.begin(), out.end(), 0) == 128);
  CHECK_THROWS_WITH(planted({2, 64}, barrier_kernel<Barrier::two_lines>, out.data()),
                    ContainsSubstring("simt, planted=row: block 1, thread 40 is at another barrier than others") &&
                        ContainsSubstring("wait at test_simt.cpp:"));
  CHECK_THROWS_WITH(planted({2, 64}, barrier_kernel<Barrier::ended>, out.data()),
                    ContainsSubstring("block 1, thread 37 has ended, and others of its block wait at a barrier") &&
                        ContainsSubstring("test_simt.cpp:"));
  CHECK_THROWS_WITH(planted({2, 64}, barrier_kernel<Barrier::counts>, out.data()),
                    ContainsSubstring("block 0, thread 32 has ended"));
  CHECK_THAT(stopped_in_orders({2, 64}, barrier_kernel<Barrier::two_lines>, out.data()), ContainsSubstring("block 1"));
  CHECK_THAT(stopped_in_orders({2, 64}, barrier_kernel<Barrier::ended>, out.data()), ContainsSubstring("thread 37"));
}

// ---- orders ---------------------------------------------------------------------------------------------------------

__global__ void order_kernel(std::vector<unsigned>* seen) { seen->push_back(blockIdx.x * blockDim.x + threadIdx.x); }

std::vector<unsigned> order_of(std::uint32_t seed, int launches = 1) {
  const test::Seed order(seed);
  std::vector<unsigned> seen;
  for (int i = 0; i < launches; ++i) planted({7, 32}, order_kernel, &seen);
  return seen;
}

TEST_CASE("simt: a seed is an order of blocks and threads, and the same one every time") {
  std::vector<unsigned> natural(7 * 32);
  std::iota(natural.begin(), natural.end(), 0u);
  CHECK(order_of(0) == natural);
  std::set<std::vector<unsigned>> orders, blocks;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<unsigned> seen = order_of(seed);
    CHECK(order_of(seed) == seen);
    orders.insert(seen);
    std::vector<unsigned> sorted = seen, of_blocks;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == natural);
    for (std::size_t i = 0; i < seen.size(); i += 32) of_blocks.push_back(seen[i] / 32);
    blocks.insert(of_blocks);
  }
  CHECK(orders.size() == 20);
  CHECK(blocks.size() > 10);
  const std::vector<unsigned> two = order_of(3, 2);  // another order in every launch
  CHECK(std::vector(two.begin(), two.begin() + 7 * 32) != std::vector(two.begin() + 7 * 32, two.end()));
}

template <bool OrderFree>
__global__ void sum_kernel(const float* x, float* sum) {
  if (OrderFree) {
    const float whole = warp_sum(x[blockIdx.x * 32 + threadIdx.x]);
    if (threadIdx.x == 0) sum[blockIdx.x] = whole;
  } else {
    sum[0] += x[blockIdx.x * 32 + threadIdx.x];
  }
}

TEST_CASE("simt: a result that depends on the order of threads has other bits under other seeds") {
  std::vector<float> x(4 * 32);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 3);
  std::set<std::vector<float>> in_order, order_free;
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    const test::Seed order(seed);
    std::vector<float> sum(4), free(4);
    planted({4, 32}, sum_kernel<false>, x.data(), sum.data());
    planted({4, 32}, sum_kernel<true>, x.data(), free.data());
    in_order.insert(sum);
    order_free.insert(free);
  }
  CHECK(in_order.size() > 3);
  CHECK(order_free.size() == 1);
}

// ---- fibers ---------------------------------------------------------------------------------------------------------

__global__ void deep_kernel(int* out) {
  volatile int large[32 * KiB / sizeof(int)];
  const int size = static_cast<int>(sizeof large / sizeof(int));
  for (int i = 0; i < size; ++i) large[i] = i + static_cast<int>(threadIdx.x);
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < size; ++i) sum += large[i] - static_cast<int>(threadIdx.x);
  out[threadIdx.x] = sum;
}

TEST_CASE("simt: 32 KiB of locals, in each of 1024 threads") {
  std::vector<int> out(1024);
  planted({1, 1024}, deep_kernel, out.data());
  CHECK(out == std::vector<int>(1024, 8192 * 8191 / 2));
}

struct Counted {
  explicit Counted(int* n) : alive(n) { ++*alive; }
  ~Counted() { --*alive; }
  int* alive;
};

__global__ void throwing_kernel(int* alive, unsigned thread) {
  const Counted local(alive);
  try {  // one that stays inside
    throw 17;
  } catch (int) {
  }
  __syncthreads();
  if (blockIdx.x == 1 && threadIdx.x == thread) throw std::out_of_range("planted " + std::to_string(thread));
  __syncthreads();
}

TEST_CASE("simt: what a kernel throws arrives at the caller, and the next launch works") {
  for (const unsigned thread : {0u, 31u, 63u, 70u, 5u}) {  // thread 70 is not there: nothing is thrown
    int alive = 0;
    if (thread < 64) {
      CHECK_THROWS_AS(planted({3, 64}, throwing_kernel, &alive, thread), std::out_of_range);
      CHECK(alive == 63);  // its own is destroyed, the others are dropped where they wait
    } else {
      CHECK_NOTHROW(planted({3, 64}, throwing_kernel, &alive, thread));
      CHECK(alive == 0);
    }
    std::vector<int> out(1024);
    planted({1, 1024}, deep_kernel, out.data());  // on the same stacks, and more
    CHECK(out == std::vector<int>(1024, 8192 * 8191 / 2));
  }
}

TEST_CASE("simt: launches work after launches that stopped, whatever their fibers were doing") {
  std::vector<int> out(1024), flags(2 * 64);
  for (int i = 0; i < 10; ++i) {
    CHECK_THROWS_AS(planted({2, 64}, barrier_kernel<Barrier::two_lines>, flags.data()), Error);
    CHECK_THROWS_AS(planted({2, 64}, barrier_kernel<Barrier::ended>, flags.data()), Error);
    CHECK_NOTHROW(planted({2, 64}, barrier_kernel<Barrier::whole>, flags.data()));
  }
  planted({1, 1024}, deep_kernel, out.data());
  CHECK(out == std::vector<int>(1024, 8192 * 8191 / 2));
}

}  // namespace
}  // namespace kernels::simt
