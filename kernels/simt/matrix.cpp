#include "kernels/simt/matrix.h"

namespace kernels::simt {
namespace {

constexpr unsigned M = 16, N = 8, K = 16;
constexpr unsigned all_lanes = ~0u;

/// What one lane brings to an ldmatrix: its row, as it was when the lane came, and where its own four words go.
struct Row {
  std::uint16_t elements[8];
  unsigned* to;
};

template <class T>
const T& brought(std::uint64_t value) {
  return *reinterpret_cast<const T*>(static_cast<std::uintptr_t>(value));
}

template <class T>
std::uint64_t as_value(const T& brought) {
  return reinterpret_cast<std::uintptr_t>(&brought);
}

}  // namespace

void multiply(const Operands& mine, Place place) {
  meet(WarpStep::mma, all_lanes, as_value(mine), threadIdx.x % warp_lanes, place);
}

void finish_product(const std::uint64_t (&values)[warp_lanes]) {
  float a[M][K], b[K][N], c[M][N];
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    const unsigned g = lane / 4, t = lane % 4;
    const Operands& from = brought<Operands>(values[lane]);
    for (unsigned r = 0; r < 4; ++r) {
      a[g + r % 2 * 8][2 * t + r / 2 * 8] = low_half(from.a->at[r]);
      a[g + r % 2 * 8][2 * t + r / 2 * 8 + 1] = high_half(from.a->at[r]);
      c[g + r / 2 * 8][2 * t + r % 2] = from.c->at[r];
    }
    for (unsigned r = 0; r < 2; ++r) {
      b[2 * t + 8 * r][g] = low_half(from.b->at[r]);
      b[2 * t + 8 * r + 1][g] = high_half(from.b->at[r]);
    }
  }
  for (unsigned m = 0; m < M; ++m) {
    for (unsigned k = 0; k < K; ++k) {
      for (unsigned n = 0; n < N; ++n) c[m][n] += a[m][k] * b[k][n];
    }
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    FragmentC& to = *brought<Operands>(values[lane]).c;
    for (unsigned i = 0; i < 4; ++i) to.at[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

void load_matrices(WarpStep step, unsigned (&to)[4], SharedArray& array, std::ptrdiff_t at, Place place) {
  if (at % 8 != 0) stop("loads a row of a matrix from an address that is not a multiple of 16 bytes", place);
  for (std::ptrdiff_t i = 0; i < 8; ++i) check_read(array, at + i, place);
  Row row{.elements = {}, .to = to};
  std::memcpy(row.elements, array.bytes.data() + static_cast<std::size_t>(at) * sizeof(bf16), sizeof row.elements);
  meet(step, all_lanes, as_value(row), threadIdx.x % warp_lanes, place);
}

void finish_loads(const std::uint64_t (&values)[warp_lanes], bool transposed) {
  const auto element = [&](unsigned matrix, unsigned row, unsigned column) -> unsigned {
    return brought<Row>(values[8 * matrix + row]).elements[column];
  };
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    const unsigned g = lane / 4, t = lane % 4 * 2;
    unsigned* to = brought<Row>(values[lane]).to;
    for (unsigned i = 0; i < 4; ++i) {
      to[i] =
          transposed ? element(i, t, g) | element(i, t + 1, g) << 16 : element(i, g, t) | element(i, g, t + 1) << 16;
    }
  }
}

}  // namespace kernels::simt
