// Shuffles, votes and __syncwarp on the simt device: results against plain loops, and masks that are wrong.
#include <array>

#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted;
using test::planted_in_orders;
using test::stopped_in_orders;

// ---- results --------------------------------------------------------------------------------------------------------

struct Results {
  std::array<double, 64> shuffled{};
  std::array<float, 64> exchanged{};
  std::array<unsigned, 64> votes{};
};

/// Lane l shuffles from lane sources[l]. Both warps have the same mask.
__global__ void warp_kernel(unsigned mask, const int* sources, int bits, const double* values, Results* results) {
  const unsigned t = threadIdx.x, lane = t % 32;
  if (!(mask >> lane & 1)) return;
  results->shuffled[t] = __shfl_sync(mask, values[t], sources[lane]);
  results->exchanged[t] = __shfl_xor_sync(mask, static_cast<float>(values[t]), bits);
  results->votes[t] = __ballot_sync(mask, values[t] > 0);
}

TEST_CASE("simt: shuffles and votes are what plain loops say, whole warps and parts") {
  std::uint32_t state = 1;
  const auto random = [&] { return state = state * 1664525u + 1013904223u, state >> 8; };
  for (int trial = 0; trial < 40; ++trial) {
    const int bits = trial % 5 == 0 ? 1 << trial / 5 % 5 : static_cast<int>(random() % 32);
    unsigned mask = trial < 5 ? full_warp : random() | random() << 20 | 1u << random() % 32;
    for (unsigned lane = 0; lane < 32; ++lane) {  // closed under the exchange
      if (mask >> lane & 1) mask |= 1u << (lane ^ static_cast<unsigned>(bits));
    }
    std::array<int, 32> sources{};
    for (int& source : sources) {
      do source = static_cast<int>(random() % 96) - 32;  // taken modulo 32
      while (!(mask >> (source + 32) % 32 & 1));
    }
    std::array<double, 64> values{};
    for (double& value : values) value = static_cast<double>(random()) * 1e-6 - 8;
    Results expected;
    for (unsigned t = 0; t < 64; ++t) {
      const unsigned lane = t % 32, warp = t - lane;
      if (!(mask >> lane & 1)) continue;
      expected.shuffled[t] = values[warp + static_cast<unsigned>(sources[lane] + 32) % 32];
      expected.exchanged[t] = static_cast<float>(values[warp + (lane ^ static_cast<unsigned>(bits))]);
      for (unsigned other = 0; other < 32; ++other) {
        if (mask >> other & 1 && values[warp + other] > 0) expected.votes[t] |= 1u << other;
      }
    }
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      const test::Seed order(seed);
      Results results;
      planted({1, 64}, warp_kernel, mask, sources.data(), bits, values.data(), &results);
      CHECK(results.shuffled == expected.shuffled);
      CHECK(results.exchanged == expected.exchanged);
      CHECK(results.votes == expected.votes);
    }
  }
}

/// Sums of 4, of 16 and of 32 lanes, which do not wait for each other; then lanes 1 and 2 come late to a step of
/// lane 3.
__global__ void parts_kernel(float* out) {
  const unsigned lane = threadIdx.x % 32;
  float sum = static_cast<float>(lane);
  const unsigned four = 0xfu << lane / 4 * 4, half = 0xffffu << lane / 16 * 16;
  for (const int bits : {1, 2}) sum += __shfl_xor_sync(four, sum, bits);
  for (const int bits : {4, 8}) sum += __shfl_xor_sync(half, sum, bits);
  sum += __shfl_xor_sync(full_warp, sum, 16);
  out[threadIdx.x] = sum;
  if (lane == 1 || lane == 2) __syncwarp(0b0110u);
  if (lane == 1 || lane == 2 || lane == 3) __syncwarp(0b1110u);
  if (lane % 2 == 0) {
    __syncwarp();  // lanes of one __syncwarp may stand in two lines
  } else {
    __syncwarp();
  }
}

TEST_CASE("simt: parts of a warp do not wait for others, and masks that overlap are fine one after the other") {
  std::vector<float> out(64);
  planted_in_orders({1, 64}, parts_kernel, out.data());
  CHECK(out == std::vector<float>(64, 31 * 32 / 2));
}

// ---- wrong masks ----------------------------------------------------------------------------------------------------

enum class Wrong { nothing, not_in_own, two_masks, source_outside, ended, at_barrier, two_lines, two_steps };

__global__ void mask_kernel(Wrong how, int* out) {
  const unsigned lane = threadIdx.x % 32;
  const bool fourth = blockIdx.x == 1 && threadIdx.x == 36;  // lane 4 of the second warp
  unsigned mask = full_warp;
  if (how == Wrong::not_in_own && fourth) mask = ~(1u << 4);
  if (how == Wrong::two_masks && blockIdx.x == 1) mask = lane < 8 ? 0x000000ffu : 0xffffff00u;
  if (how == Wrong::two_masks && fourth) mask = 0x000001ffu;
  if (how == Wrong::source_outside) mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  if (how == Wrong::ended && fourth) return;
  if (how == Wrong::at_barrier && fourth) __syncthreads();
  if (how == Wrong::two_lines && fourth) {
    out[threadIdx.x] = __shfl_sync(mask, 1, 0);
  } else if (how == Wrong::two_steps && fourth) {
    __syncwarp(mask);
  } else {
    out[threadIdx.x] = __shfl_xor_sync(mask, 1, how == Wrong::source_outside && fourth ? 16 : 1);
  }
}

TEST_CASE("simt: a mask that is wrong, and lanes that do not come") {
  std::vector<int> out(64);
  const auto text = [&](Wrong how) { return stopped_in_orders({2, 64}, mask_kernel, how, out.data()); };
  planted_in_orders({2, 64}, mask_kernel, Wrong::nothing, out.data());
  CHECK(out == std::vector<int>(64, 1));
  const std::string place = "(test_simt_warps.cpp:";
  CHECK(lacks(text(Wrong::not_in_own), {"block 1, thread 36 is not in its own mask 0xffffffef", place}) == "");
  CHECK(lacks(text(Wrong::two_masks),
              {"block 1, thread ", "comes to a shuffle with mask 0x000001ff, and lanes of it wait",
               "in a shuffle with mask 0x000000ff at test_simt_warps.cpp:", place}) == "");
  CHECK(lacks(text(Wrong::source_outside),
              {"block 1, thread 36 reads from lane 20, which mask 0x0000ffff leaves out", place}) == "");
  CHECK(lacks(text(Wrong::ended),
              {"block 1, thread 32 waits in a shuffle with mask 0xffffffff for lane 4, which has ended", place}) == "");
  CHECK(lacks(text(Wrong::at_barrier),
              {"block 1, thread 32 waits in a shuffle with mask 0xffffffff for lane 4, which waits elsewhere, at "
               "test_simt_warps.cpp:",
               place}) == "");
  CHECK(lacks(text(Wrong::two_lines), {"block 1, thread 36 comes to a shuffle", "in a shuffle", place}) == "");
  CHECK(lacks(text(Wrong::two_steps), {"block 1, thread 36 comes to a __syncwarp", "in a shuffle", place}) == "");
}

}  // namespace
}  // namespace kernels::simt
