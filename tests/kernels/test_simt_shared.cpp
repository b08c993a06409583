// Shared memory on the simt device, by kernels planted here: each fault is stopped in every order of threads, and has a
// twin that passes in all of them.
#include <numeric>

#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted;
using test::planted_in_orders;
using test::stopped;

/// Empty: a launch was stopped in eight orders, in the natural one because some thread `does`, "reads" or "writes", an
/// element of array 0, and for the reason given.
template <class... Parameters, class... Arguments>
std::string lacks_stop(const char* does, const char* reason, Grid grid, void (*kernel)(Parameters...),
                       Arguments... arguments) {
  return lacks(test::stopped_in_orders(grid, kernel, arguments...),
               {"simt, planted=row: block ", ", thread ", std::string(" ") + does + " element ",
                " of the shared array f32 [64], id 0", reason, "(test_simt_shared.cpp:"});
}

/// __syncthreads where it is not left out.
template <bool There>
void barrier() {
  if (There) __syncthreads();
}

// ---- a removed barrier ----------------------------------------------------------------------------------------------

template <bool AfterWrite, bool AfterRead>
__global__ void reverse_kernel(float* data) {
  auto s = shared<float, 64, 0>();
  s[threadIdx.x] = 0;
  __syncthreads();
  for (int i = 0; i < 3; ++i) {
    s[threadIdx.x] = data[threadIdx.x];
    barrier<AfterWrite>();
    data[threadIdx.x] = s[63 - threadIdx.x] + 1;
    barrier<AfterRead>();
  }
}

TEST_CASE("simt: a barrier that is missing between write and read, or read and write") {
  std::vector<float> data(64);
  std::iota(data.begin(), data.end(), 0.0f);
  planted({1, 64}, reverse_kernel<true, true>, data.data());
  for (std::size_t i = 0; i < 64; ++i) CHECK(data[i] == static_cast<float>(63 - i + 3));
  CHECK_NOTHROW(planted_in_orders({3, 64}, reverse_kernel<true, true>, data.data()));
  CHECK(lacks_stop("writes", ", which thread 31 reads at line ", {1, 64}, reverse_kernel<false, true>, data.data()) ==
        "");
  CHECK(lacks_stop("reads", ", which thread 31 writes at line ", {1, 64}, reverse_kernel<true, false>, data.data()) ==
        "");
}

template <int Stride>
__global__ void together_kernel() {
  shared<float, 64, 0>()[threadIdx.x / Stride] = 1;
}

template <int Writer, int Reader, bool Barrier>
__global__ void pair_kernel(float* out) {
  auto s = shared<float, 64, 0>();
  if (threadIdx.x == Writer) s[5] = 1;
  barrier<Barrier>();
  if (threadIdx.x == Reader) out[0] = s[5];
  barrier<Barrier>();
  if (threadIdx.x == Writer) s[5] = 2;
}

TEST_CASE("simt: two threads write one element, in one warp or in two") {
  CHECK_NOTHROW(planted_in_orders({1, 64}, together_kernel<1>));
  CHECK_THROWS_WITH(planted({1, 64}, together_kernel<2>),
                    ContainsSubstring("block 0, thread 1 writes element 0 of the shared array f32 [64], id 0, which "
                                      "thread 0 writes too at line"));
  for (const auto kernel : {together_kernel<2>, together_kernel<64>})
    CHECK(lacks_stop("writes", "no barrier is between them", {1, 64}, kernel) == "");
  float out = 0;
  CHECK_NOTHROW(planted_in_orders({1, 64}, pair_kernel<3, 40, true>, &out));
  for (const auto kernel : {pair_kernel<3, 40, false>, pair_kernel<3, 4, false>})
    CHECK(lacks_stop("reads", ", which thread 3 writes", {1, 64}, kernel, &out) == "");
}

/// Thread t reads where bit t of `readers` is set; then one of them writes, with no barrier in between.
__global__ void readers_kernel(unsigned long long readers, unsigned writer, float* out) {
  auto s = shared<float, 64, 0>();
  if (threadIdx.x == 0) s[5] = 1;
  __syncthreads();
  if (readers >> threadIdx.x & 1) out[threadIdx.x] = s[5];
  if (threadIdx.x == writer) s[5] = 2;
}

TEST_CASE("simt: of many readers none is forgotten") {
  std::vector<float> out(64);
  const auto bit = [](int i) { return 1ull << i; };
  const auto lacks_race = [&](const char* does, unsigned long long readers, unsigned writer) {
    return lacks_stop(does, "no barrier is between them", {1, 64}, readers_kernel, readers, writer, out.data());
  };
  CHECK_NOTHROW(planted_in_orders({1, 64}, readers_kernel, bit(7), 7u, out.data()));
  CHECK_THROWS_WITH(
      planted({1, 64}, readers_kernel, bit(3) | bit(7), 7u, out.data()),
      ContainsSubstring("thread 7 writes element 5") && ContainsSubstring("which thread 3 reads at line"));
  CHECK(lacks_race("writes", bit(3) | bit(7), 7) == "");  // the writer reads last
  CHECK(lacks_race("reads", bit(3) | bit(7), 3) == "");
  CHECK(lacks_race("writes", bit(3) | bit(40), 40) == "");  // of two warps
  CHECK(lacks_race("writes", bit(3) | bit(40) | bit(41), 41) == "");
  CHECK(lacks_race("writes", ~0ull, 63) == "");
}

// ---- bounds, and what was never written -----------------------------------------------------------------------------

__global__ void touch_kernel(bool dynamic, bool write, int at) {
  auto s = dynamic ? dynamic_shared<float>() : shared<float, 64, 0>();
  if (blockIdx.x != 1 || threadIdx.x != 9) return;
  if (write) {
    s[at] = 1;
  } else {
    [[maybe_unused]] const float value = (s + 60)[at - 60];
  }
}

TEST_CASE("simt: an access past the end of a static or dynamic array, or of what was not written") {
  for (const bool dynamic : {false, true}) {
    for (const bool write : {false, true}) {
      const std::string begin = std::string("simt, planted=row: block 1, thread 9 ") + (write ? "writes" : "reads") +
                                " element ",
                        name = std::string(" of the shared array f32 [64], ") + (dynamic ? "dynamic" : "id 0");
      for (const int at : {-1, 64, 1 << 30})
        CHECK(lacks(stopped({2, 32, 256}, touch_kernel, dynamic, write, at),
                    {begin + std::to_string(at) + name + ": past its end (test_simt_shared.cpp:"}) == "");
      for (const int at : {0, 63}) {
        if (write) CHECK_NOTHROW(planted({2, 32, 256}, touch_kernel, dynamic, write, at));
        if (!write)
          CHECK(lacks(stopped({2, 32, 256}, touch_kernel, dynamic, write, at),
                      {begin + std::to_string(at) + name + ", which nobody has written (test_simt_shared.cpp:"}) == "");
      }
    }
  }
}

__global__ void fresh_kernel(float* out) {
  auto s = shared<float, 64, 0>();
  if (blockIdx.x == 0) s[threadIdx.x] = 1;
  out[threadIdx.x] = s[threadIdx.x];
}

template <class T, int Count>
__global__ void two_types_kernel() {
  shared<float, 64, 0>()[threadIdx.x] = 1;
  shared<T, Count, 0>();
}

TEST_CASE("simt: every block has fresh shared memory, and an id is one array") {
  std::vector<float> out(64);
  CHECK_NOTHROW(planted({1, 64}, fresh_kernel, out.data()));
  CHECK_THROWS_WITH(planted({2, 64}, fresh_kernel, out.data()),
                    ContainsSubstring("block 1, thread 0 reads element 0") && ContainsSubstring("nobody has written"));
  CHECK_NOTHROW(planted({1, 64}, two_types_kernel<float, 64>));
  CHECK_THROWS_WITH(planted({1, 64}, two_types_kernel<float, 32>), ContainsSubstring("f32 [64], id 0 as f32 [32]"));
  CHECK_THROWS_WITH(planted({1, 64}, two_types_kernel<bf16, 64>), ContainsSubstring("f32 [64], id 0 as bf16 [64]"));
}

__global__ void again_kernel(bool barrier, bool wait, float* out) {
  auto pairs = dynamic_shared<bf16>();
  const unsigned t = threadIdx.x;
  alignas(16) const bf16 zeros[8] = {};
  cp_async16_filled(pairs + 8 * static_cast<int>(t), zeros, 16);
  cp_async_commit();
  if (wait) cp_async_wait<0>();
  if (barrier) __syncthreads();
  auto s = dynamic_shared_again<float>();
  s[t] = static_cast<float>(t);
  __syncthreads();
  out[t] = s[t ^ 32];
}

/// The last thread reads what was there, before or after the others come to the second use.
__global__ void late_kernel(float* out) {
  auto pairs = dynamic_shared<bf16>();
  pairs[threadIdx.x] = bf16(1.0f);
  __syncthreads();
  if (threadIdx.x == 63) out[0] = static_cast<float>(static_cast<bf16>(pairs[5]));
  else dynamic_shared_again<float>();
}

TEST_CASE("simt: dynamic memory again, as another type, behind a barrier") {
  std::vector<float> out(64);
  CHECK_NOTHROW(planted_in_orders({1, 64, 1024}, again_kernel, true, true, out.data()));
  CHECK(out[5] == 37);
  const auto lacks_all = [](const std::string& text, const char* reason) {
    return lacks(text, {" element ", " of the shared array bf16 [512], dynamic", reason});
  };
  CHECK(lacks_all(test::stopped_in_orders({1, 64, 1024}, again_kernel, true, false, out.data()),
                  "it has not been waited for") == "");
  test::stopped_in_orders({1, 64, 1024}, again_kernel, false, true, out.data());
  test::stopped_in_orders({1, 64, 1024}, late_kernel, out.data());
  CHECK(lacks_all(stopped({1, 64, 1024}, late_kernel, out.data()), "whose memory is f32 since thread ") == "");
}

template <class T>
__global__ void operators_kernel(float* out) {
  auto s = shared<T, 64, 0>();
  const unsigned t = threadIdx.x;
  const float value = s[t] = T(1.5f);
  s[t] += T(value);
  s[t + 32] = s[t];
  const T sum = s[t + 32];
  out[t] = static_cast<float>(sum);
  __syncthreads();
  if (t == 3) s[50] = T(-7.0f);
  __syncthreads();
  if (t == 0) CHECK_THAT(peek(0, 50), ContainsSubstring("-7, written by thread 3 at line "));
  if (t == 0) CHECK_THAT(peek(0, 64), ContainsSubstring("past the end"));
  if (t == 0) CHECK_THAT(peek(1, 0), ContainsSubstring("no such array"));
}

TEST_CASE("simt: what can be done with an element, and how a debugger sees it") {
  std::vector<float> out(32);
  planted({1, 32}, operators_kernel<float>, out.data());
  CHECK(out == std::vector<float>(32, 3));
  planted({1, 32}, operators_kernel<bf16>, out.data());
  CHECK(out == std::vector<float>(32, 3));
}

// ---- __syncwarp -----------------------------------------------------------------------------------------------------

/// mask 0: no __syncwarp.
__global__ void neighbour_kernel(unsigned mask, unsigned distance, float* out) {
  auto s = shared<float, 64, 0>();
  const unsigned t = threadIdx.x;
  if (mask != 0 && !(mask >> t % 32 & 1)) return;
  for (int i = 0; i < 3; ++i) {
    s[t] = static_cast<float>(t);
    if (mask != 0) __syncwarp(mask);
    out[t] = s[t ^ distance];
    if (mask != 0) __syncwarp(mask);
  }
}

TEST_CASE("simt: __syncwarp orders the lanes of its mask, and no others") {
  std::vector<float> out(64);
  planted_in_orders({1, 64}, neighbour_kernel, full_warp, 7u, out.data());
  for (unsigned t = 0; t < 64; ++t) CHECK(out[t] == static_cast<float>(t ^ 7));
  CHECK_NOTHROW(planted_in_orders({1, 64}, neighbour_kernel, 0x00ff00ffu, 16u, out.data()));
  CHECK(lacks_stop("reads", "", {1, 64}, neighbour_kernel, 0u, 7u, out.data()) == "");
  CHECK(lacks_stop("reads", "", {1, 64}, neighbour_kernel, full_warp, 32u, out.data()) == "");  // the other warp's
  CHECK(lacks_stop("reads", "nobody", {1, 64}, neighbour_kernel, 0x00ff00ffu, 8u, out.data()) == "");
}

/// Lane 1 writes, lane 3 reads; between them lies:
enum class Chain { nothing, both, through_2, through_2_too_early, others };
__global__ void chain_kernel(Chain how, float* out) {
  auto s = shared<float, 64, 0>();
  const unsigned t = threadIdx.x;
  const bool with_1 = t == 1 || t == 2, with_3 = t == 2 || t == 3;
  if (how == Chain::through_2_too_early && with_1) __syncwarp(0b0110u);
  if (t == 1) s[0] = 1;
  if (how == Chain::both && (t == 1 || t == 3)) __syncwarp(0b1010u);
  if (how == Chain::through_2 && with_1) __syncwarp(0b0110u);
  if (how != Chain::nothing && how != Chain::both && with_3) __syncwarp(0b1100u);
  if (t == 3) out[0] = s[0];
  __syncwarp();
  if (t == 2) s[0] = 2;
}

TEST_CASE("simt: order between lanes is handed on by __syncwarps of a part of the warp") {
  float out = 0;
  CHECK_NOTHROW(planted_in_orders({1, 32}, chain_kernel, Chain::both, &out));
  CHECK_NOTHROW(planted_in_orders({1, 32}, chain_kernel, Chain::through_2, &out));
  for (const Chain how : {Chain::nothing, Chain::others, Chain::through_2_too_early})
    CHECK(lacks_stop("reads", "", {1, 32}, chain_kernel, how, &out) == "");
}

}  // namespace
}  // namespace kernels::simt
