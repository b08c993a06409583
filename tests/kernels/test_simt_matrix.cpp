// Tensor cores on the simt device: products and loads of fragments against plain loops, and each fault beside a twin
// that passes.
#include <array>
#include <cmath>
#include <numeric>

#include "kernels/cuda/mma.cuh"
#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

using test::lacks;
using test::planted;
using test::planted_in_orders;
using test::stopped_in_orders;

constexpr int side = 16;  // of every tile here

/// 16 x 16 values that bf16 has.
using Tile = std::array<bf16, side * side>;

Tile random_tile(std::uint32_t state) {
  Tile tile;
  for (bf16& x : tile) {
    state = state * 1664525u + 1013904223u;
    x = bf16(static_cast<float>(static_cast<int>(state >> 16) - 32768) / 16384.0f);
  }
  return tile;
}

/// c + a b, summed in the order of k in f32.
std::vector<float> product(const Tile& a, const Tile& b, std::vector<float> c) {
  for (int m = 0; m < side; ++m) {
    for (int n = 0; n < side; ++n) {
      for (int k = 0; k < side; ++k)
        c[static_cast<std::size_t>(m * side + n)] += static_cast<float>(a[static_cast<std::size_t>(m * side + k)]) *
                                                     static_cast<float>(b[static_cast<std::size_t>(k * side + n)]);
    }
  }
  return c;
}

Tile transposed(const Tile& a) {
  Tile t;
  for (std::size_t i = 0; i < t.size(); ++i) t[i] = a[i % side * side + i / side];
  return t;
}

// ---- the words, held to the layouts that fragments.h documents ------------------------------------------------------

unsigned word_of(bf16 low, bf16 high) { return low.bits | static_cast<unsigned>(high.bits) << 16; }

/// The left 8 columns of b. One warp.
__global__ void words_kernel(const bf16* a, const bf16* b, float* c) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  FragmentA left;
  FragmentB right;
  FragmentC sum;
  for (int r = 0; r < 4; ++r) {
    const bf16* pair = a + (g + 8 * (r % 2)) * side + 2 * t + 8 * (r / 2);
    left.at[r] = word_of(pair[0], pair[1]);
    sum.at[r] = c[(g + 8 * (r / 2)) * side + 2 * t + r % 2];
  }
  for (int r = 0; r < 2; ++r) {
    const bf16* pair = b + (2 * t + 8 * r) * side + g;
    right.at[r] = word_of(pair[0], pair[side]);
  }
  mma(sum, left, right);
  for (int i = 0; i < 4; ++i) c[(g + 8 * (i / 2)) * side + 2 * t + i % 2] = sum.at[i];
}

TEST_CASE("simt: an mma is the product of what the lanes hold, added to what they held") {
  for (std::uint32_t trial = 0; trial < 10; ++trial) {
    const Tile a = random_tile(trial), b = random_tile(trial + 100);
    std::vector<float> c(side * side);
    std::iota(c.begin(), c.end(), -100.0f);
    const std::vector<float> before = c, expected = product(a, b, c);
    planted({1, 32}, words_kernel, a.data(), b.data(), c.data());
    for (std::size_t i = 0; i < c.size(); ++i) CHECK(c[i] == (i % side < 8 ? expected[i] : before[i]));
  }
}

__global__ void ldmatrix_kernel(const bf16* from, unsigned* plain, unsigned* turned) {
  auto s = shared<bf16, 32 * 8, 0>();
  const int t = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) s[t * 8 + i] = from[t * 8 + i];
  __syncwarp();
  unsigned words[4];
  ldmatrix4(words, s + t * 8);
  for (int i = 0; i < 4; ++i) plain[t * 4 + i] = words[i];
  ldmatrix4_transposed(words, s + t * 8);
  for (int i = 0; i < 4; ++i) turned[t * 4 + i] = words[i];
}

TEST_CASE("simt: ldmatrix hands out four matrices of 8 x 8, and transposes them") {
  const Tile from = random_tile(7);  // 32 rows of 8
  std::array<unsigned, 128> plain{}, turned{};
  planted({1, 32}, ldmatrix_kernel, from.data(), plain.data(), turned.data());
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      const bf16* matrix = from.data() + i * 64;
      const std::size_t g = lane / 4, t = lane % 4 * 2;
      CHECK(plain[lane * 4 + i] == word_of(matrix[g * 8 + t], matrix[g * 8 + t + 1]));
      CHECK(turned[lane * 4 + i] == word_of(matrix[t * 8 + g], matrix[(t + 1) * 8 + g]));
    }
  }
}

TEST_CASE("simt: pairs of bf16, their halves, and powers of two") {
  CHECK(bf16_pair(1.0f, -2.0f) == 0xc0003f80u);
  CHECK(bf16_pair(1.00390625f, 1.01171875f) == 0x3f823f80u);  // ties go to even
  CHECK((low_half(0xc0003f80u) == 1.0f && high_half(0xc0003f80u) == -2.0f));
  for (const float x : {-125.5f, -3.25f, 0.0f, 0.5f, 7.0f, 100.25f})
    CHECK(exp2_fast(x) == Approx(std::exp2(static_cast<double>(x))).epsilon(1e-6));
  CHECK(exp2_fast(-INFINITY) == 0);
  CHECK(log2_fast(8) == 3);
  CHECK(reciprocal_fast(-8) == -0.125f);
  CHECK(reciprocal_fast(1e38f) == 0);
  CHECK(exp2_fast(-127.0f) == 0);  // denormal numbers are flushed
}

// ---- mma.cuh: tiles in shared memory --------------------------------------------------------------------------------

constexpr int pitch = pitch_of(side);

template <class Shared>
void bring(const bf16* from, Shared to) {
  for (int i = static_cast<int>(threadIdx.x); i < side * side; i += lanes) to[i / side * pitch + i % side] = from[i];
}

/// c (16 x 16) += a b, a and b stored by rows, or transposed. One warp.
template <bool ATransposed, bool BTransposed>
__global__ void tile_kernel(const bf16* a, const bf16* b, float* c) {
  auto tile_a = shared<bf16, side * pitch, 0>();
  auto tile_b = shared<bf16, side * pitch, 1>();
  bring(a, tile_a), bring(b, tile_b);
  __syncwarp();
  const FragmentA left = ATransposed ? load_a_transposed(tile_a, pitch) : load_a(tile_a, pitch);
  FragmentB right[2];
  if (BTransposed) load_b(tile_b, pitch, right[0], right[1]);
  else load_b_transposed(tile_b, pitch, right[0], right[1]);
  for (int j = 0; j < 2; ++j) {
    FragmentC sum;
    for (int i = 0; i < 4; ++i) sum.at[i] = c[row_of_c(i) * side + 8 * j + column_of_c(i)];
    mma(sum, left, right[j]);
    for (int i = 0; i < 4; ++i) c[row_of_c(i) * side + 8 * j + column_of_c(i)] = sum.at[i];
  }
}

TEST_CASE("simt: tiles of either layout give the product of a plain loop, in every order of lanes") {
  const Tile a = random_tile(1), b = random_tile(2), a_turned = transposed(a), b_turned = transposed(b);
  std::vector<float> start(side * side);
  std::iota(start.begin(), start.end(), 0.5f);
  const std::vector<float> expected = product(a, b, start);
  for (std::uint32_t seed = 0; seed < 8; ++seed) {
    const test::Seed order(seed);
    std::vector<float> c[4] = {start, start, start, start};
    planted({1, 32}, tile_kernel<false, false>, a.data(), b.data(), c[0].data());
    planted({1, 32}, tile_kernel<false, true>, a.data(), b_turned.data(), c[1].data());
    planted({1, 32}, tile_kernel<true, false>, a_turned.data(), b.data(), c[2].data());
    planted({1, 32}, tile_kernel<true, true>, a_turned.data(), b_turned.data(), c[3].data());
    for (const auto& each : c) CHECK(each == expected);
  }
}

/// c = round(a b) d, without a way through shared memory for the product in the middle.
__global__ void chain_kernel(const bf16* a, const bf16* b, const bf16* d, float* c) {
  auto tiles = shared<bf16, 3 * side * pitch, 0>();
  bring(a, tiles), bring(b, tiles + side * pitch), bring(d, tiles + 2 * side * pitch);
  __syncwarp();
  FragmentB right[2];
  FragmentC middle[2] = {};
  load_b_transposed(tiles + side * pitch, pitch, right[0], right[1]);
  const FragmentA left = load_a(tiles, pitch);
  for (int j = 0; j < 2; ++j) mma(middle[j], left, right[j]);
  load_b_transposed(tiles + 2 * side * pitch, pitch, right[0], right[1]);
  for (int j = 0; j < 2; ++j) {
    FragmentC sum = {};
    mma(sum, as_a(middle[0], middle[1]), right[j]);
    for (int i = 0; i < 4; ++i) c[row_of_c(i) * side + 8 * j + column_of_c(i)] = sum.at[i];
  }
}

TEST_CASE("simt: sums are an operand of the next product where they lie") {
  const Tile a = random_tile(3), b = random_tile(4), d = random_tile(5);
  const std::vector<float> zeros(side * side), middle = product(a, b, zeros);
  Tile rounded;
  for (std::size_t i = 0; i < rounded.size(); ++i) rounded[i] = bf16(middle[i]);
  std::vector<float> c(side * side);
  planted({1, 32}, chain_kernel, a.data(), b.data(), d.data(), c.data());
  CHECK(c == product(rounded, d, zeros));
}

TEST_CASE("simt: rows of pitch_of start in eight different groups of four banks") {
  for (int columns = 8; columns <= 256; columns += 8) {
    unsigned groups = 0;
    for (int row = 0; row < 8; ++row) groups |= 1u << row * pitch_of(columns) / 8 % 8;
    CHECK(groups == 0xffu);
    CHECK((pitch_of(columns) >= columns && pitch_of(columns) <= columns + 8));
  }
}

// ---- faults ---------------------------------------------------------------------------------------------------------

enum class Fault {
  none,
  ended,
  half,
  two_lines,
  two_steps,
  no_barrier,
  unwritten,
  past_end,
  misaligned,
  in_flight,
  late
};

/// 64 threads; the second warp loads what the first one has written, and multiplies.
template <Fault How>
__global__ void fault_kernel(const bf16* from, float* to) {
  auto s = shared<bf16, side * side, 0>();
  const int t = static_cast<int>(threadIdx.x), lane = t % 32;
  const bool fourth = t == 36;  // lane 4 of the second warp
  if (t < 32 && !(How == Fault::unwritten && t == 9)) {
    cp_async16(s + t * 8, from + t * 8);
    cp_async_commit();
    if (How != Fault::in_flight) cp_async_wait<0>();
  }
  if (How != Fault::no_barrier) __syncthreads();
  if (How == Fault::ended && fourth) return;
  if (How == Fault::half && lane >= 16) return;
  FragmentA a = {};
  FragmentB b = {};
  FragmentC c = {};
  const int row = How == Fault::past_end && fourth ? 32 : lane;
  if (t >= 32) ldmatrix4(a.at, s + (row * 8 + (How == Fault::misaligned && fourth ? 4 : 0)));
  if (How == Fault::late && t == 3) s[36] = bf16(0.0f);
  if (How == Fault::two_lines && fourth) {
    mma(c, a, b);
  } else if (How == Fault::two_steps && fourth) {
    ldmatrix4(a.at, s + 0);
  } else {
    mma(c, a, b);
  }
  to[t] = c.at[0];
}

TEST_CASE("simt: warps that are not whole, and rows that a lane may not read") {
  const Tile from = random_tile(6);
  std::vector<float> to(64);
  const auto text = [&](auto kernel) { return stopped_in_orders({1, 64}, kernel, from.data(), to.data()); };
  planted_in_orders({1, 64}, fault_kernel<Fault::none>, from.data(), to.data());
  const std::string place = "(test_simt_matrix.cpp:", array = "of the shared array bf16 [256], id 0";
  CHECK(lacks(text(fault_kernel<Fault::ended>),
              {"thread 32 waits in an ldmatrix with mask 0xffffffff for lane 4, which has ended", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::half>),
              {"thread 0 waits in an mma with mask 0xffffffff for lane 16, which has ended", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::two_lines>),
              {"thread 36 comes to an mma with mask 0xffffffff, and lanes of it wait for this one in an mma with mask "
               "0xffffffff at test_simt_matrix.cpp:",
               place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::two_steps>), {"thread 36 comes to an ldmatrix", "in an mma", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::no_barrier>), {"reads element 0 " + array, "which thread 0 writes at line",
                                                      "no barrier is between them", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::unwritten>), {"thread 41 reads element 72 " + array, "nobody has written"}) ==
        "");
  CHECK(lacks(text(fault_kernel<Fault::past_end>), {"thread 36 reads element 256 " + array, "past its end", place}) ==
        "");
  CHECK(lacks(text(fault_kernel<Fault::misaligned>),
              {"thread 36 loads a row of a matrix from an address that is not a multiple of 16 bytes", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::in_flight>), {"reads element 0 " + array, "cp.async of thread 0", place}) == "");
  CHECK(lacks(text(fault_kernel<Fault::late>), {" element 36 " + array, "which thread ", "no barrier", place}) == "");
}

}  // namespace
}  // namespace kernels::simt
