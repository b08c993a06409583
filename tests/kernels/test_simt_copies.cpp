// Wide accesses on the simt device: packs, and cp.async, which lands when its thread waits for its group.
#include <numeric>

#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted;
using test::planted_in_orders;
using test::stopped_in_orders;

/// What a kernel leaves out or does wrong.
enum class Fault { none, no_commit, no_wait, no_barrier, barrier_before_wait, over_in_flight, waits_for_one, source };

/// 64 threads bring chunks of 256 floats into two stages in turn, and add up each chunk backwards.
template <Fault How>
__global__ void stages_kernel(float* in, int chunks, float* out) {
  auto s = shared<float, 512, 0>();
  const int mine = static_cast<int>(threadIdx.x) * 4;
  float sum = 0;
  const auto bring = [&](int chunk) {
    if (chunk < chunks) cp_async16(s + (chunk % 2 * 256 + mine), in + chunk * 256 + mine);
    if (How != Fault::no_commit) cp_async_commit();
  };
  bring(0);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    bring(chunk + 1);
    if (How == Fault::over_in_flight && chunk == 1) s[mine] = 0;
    if (How == Fault::source && chunk == 1) in[2 * 256 + mine] += 1;
    if (How == Fault::barrier_before_wait) __syncthreads();
    if (How == Fault::waits_for_one) cp_async_wait<2>();
    if (How != Fault::no_wait && How != Fault::waits_for_one) cp_async_wait<1>();  // all but the one just asked for
    if (How != Fault::no_barrier && How != Fault::barrier_before_wait) __syncthreads();
    for (int i = 0; i < 4; ++i) sum += s[chunk % 2 * 256 + 255 - mine - i];
    __syncthreads();
  }
  out[threadIdx.x] = sum;
}

TEST_CASE("simt: copies in two stages, waited for and behind a barrier") {
  std::vector<float> in(5 * 256), out(64), expected(64);
  std::iota(in.begin(), in.end(), 0.0f);
  for (std::size_t i = 0; i < in.size(); ++i) expected[(255 - i % 256) / 4] += in[i];
  planted_in_orders({1, 64}, stages_kernel<Fault::none>, in.data(), 5, out.data());
  CHECK(out == expected);
}

TEST_CASE("simt: copies that are not waited for, or not seen by others yet") {
  std::vector<float> in(5 * 256), out(64);
  const auto text = [&](auto kernel) { return stopped_in_orders({1, 64}, kernel, in.data(), 5, out.data()); };
  const std::string element = " of the shared array f32 [512], id 0, which ", place = "(test_simt_copies.cpp:";
  const std::vector<std::string> in_flight{"block 0, thread ",
                                           " reads element ",
                                           element + "cp.async of thread ",
                                           " at line ",
                                           " fills: it has not been waited for",
                                           place};
  CHECK(lacks(text(stages_kernel<Fault::no_wait>), in_flight) == "");
  CHECK(lacks(text(stages_kernel<Fault::waits_for_one>), in_flight) == "");
  CHECK(lacks(text(stages_kernel<Fault::no_commit>), in_flight) == "");
  CHECK(lacks(text(stages_kernel<Fault::barrier_before_wait>), in_flight) == "");
  CHECK(lacks(text(stages_kernel<Fault::no_barrier>), {" reads element "}) == "");  // not there yet, or not in order
  CHECK(lacks(text(stages_kernel<Fault::over_in_flight>),
              {" writes element ", element + "cp.async of thread ", "it has not been waited for", place}) == "");
  CHECK(lacks(text(stages_kernel<Fault::source>),
              {"waits for a cp.async whose source has been written since", place}) == "");
}

/// Thread 5 copies, and waits; thread 6 reads.
__global__ void handed_on_kernel(bool barrier_before, bool barrier_behind, const float* in, float* out) {
  auto s = shared<float, 64, 0>();
  if (threadIdx.x == 5) {
    cp_async16(s + 8, in);
    cp_async_commit();
  }
  if (barrier_before) __syncthreads();
  if (threadIdx.x == 5) {
    cp_async_wait<0>();
    const float own = s[9];
    out[0] = own;
  }
  if (barrier_behind) __syncthreads();
  if (threadIdx.x == 6) out[1] = s[9];
}

TEST_CASE("simt: a wait is for the thread that waits; others need a barrier") {
  alignas(16) float in[4] = {1, 2, 3, 4}, out[2] = {};
  planted_in_orders({1, 32}, handed_on_kernel, false, true, in, out);
  CHECK((out[0] == 2 && out[1] == 2));
  for (const bool before : {false, true})
    CHECK(lacks(stopped_in_orders({1, 32}, handed_on_kernel, before, false, in, out),
                {"thread 6 reads element 9", ", which thread 5 writes at line ", "no barrier is between them"}) == "");
}

__global__ void place_kernel(const float* from, int to) {
  auto s = shared<float, 64, 0>();
  if (threadIdx.x == 7) cp_async16(s + to, from);
}

TEST_CASE("simt: a copy from or to an address that is not a multiple of 16 bytes, and one past the end") {
  alignas(16) float in[8] = {};
  CHECK_NOTHROW(planted({1, 32}, place_kernel, in + 4, 60));
  CHECK_THROWS_WITH(planted({1, 32}, place_kernel, in + 1, 60),
                    ContainsSubstring("thread 7 moves 16 bytes at once") && ContainsSubstring("not a multiple"));
  CHECK_THROWS_WITH(planted({1, 32}, place_kernel, in, 58), ContainsSubstring("thread 7 moves 16 bytes at once") &&
                                                                ContainsSubstring("not a multiple") &&
                                                                ContainsSubstring("(test_simt_copies.cpp:"));
  CHECK_THROWS_WITH(planted({1, 32}, place_kernel, in, 64),
                    ContainsSubstring("writes element 64") && ContainsSubstring("past its end"));
}

__global__ void filled_kernel(const float* from, int bytes, float* to) {
  auto s = shared<float, 128, 0>();
  const int mine = static_cast<int>(threadIdx.x) * 4;
  cp_async16_filled(s + mine, from, bytes);
  cp_async_commit();
  cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) to[mine + i] = s[mine + i];
}

TEST_CASE("simt: a copy of less than 16 bytes has zeros behind them, and of none has no source") {
  alignas(16) const float in[4] = {1, 2, 3, 4};
  for (const int count : {0, 1, 3, 4}) {
    std::vector<float> out(128, -1.0f);
    planted_in_orders({1, 32}, filled_kernel, count == 0 ? nullptr : in, count * 4, out.data());
    for (int i = 0; i < 128; ++i)
      CHECK(out[static_cast<std::size_t>(i)] == (i % 4 < count ? static_cast<float>(i % 4 + 1) : 0.0f));
  }
}

template <class T, int N>
__global__ void pack_kernel(const T* from, T* to) {
  float values[N];
  load<T, N>(from + threadIdx.x * N, values);
  store<T, N>(to + threadIdx.x * N, values);
}

TEST_CASE("simt: a pack at an address that is not a multiple of it") {
  alignas(16) float x[132] = {}, y[132] = {};
  x[127] = 4;
  CHECK_NOTHROW(planted({1, 32}, pack_kernel<float, 4>, x, y));
  CHECK(y[127] == 4);
  CHECK_NOTHROW(planted({1, 32}, pack_kernel<float, 2>, x + 2, y));
  CHECK_NOTHROW(planted({1, 32}, pack_kernel<float, 1>, x + 1, y));
  const std::string begin = "simt, planted=row: block 0, thread 0 moves ",
                    end = " at an address that is not a multiple";
  CHECK(lacks(test::stopped({1, 32}, pack_kernel<float, 4>, x + 2, y), {begin + "16 bytes at once" + end}) == "");
  CHECK(lacks(test::stopped({1, 32}, pack_kernel<float, 4>, x, y + 1), {begin + "16 bytes at once" + end}) == "");
  CHECK(lacks(test::stopped({1, 32}, pack_kernel<float, 2>, x + 1, y), {begin + "8 bytes at once" + end}) == "");
  alignas(16) bf16 a[264] = {}, b[264] = {};
  CHECK_NOTHROW(planted({1, 32}, pack_kernel<bf16, 8>, a, b));
  CHECK(lacks(test::stopped({1, 32}, pack_kernel<bf16, 8>, a + 4, b), {begin + "16 bytes at once" + end}) == "");
}

}  // namespace
}  // namespace kernels::simt
