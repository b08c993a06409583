// For tests of bulk copies on simt: a matrix whose tiles they bring.
#pragma once

#include "kernels/cuda/sm90.cuh"
#include "tests/support/simt.h"

namespace test {

/// A matrix of whole numbers, which sums of 64 products keep exactly.
struct Whole {
  int rows, columns;
  std::vector<kernels::bf16> values;

  Whole(int r, int c, std::uint32_t state) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {
    for (kernels::bf16& x : values) {
      state = state * 1664525u + 1013904223u;
      x = kernels::bf16(static_cast<float>(static_cast<int>(state >> 24) % 31 - 15));
    }
  }
  float at(int r, int c) const {
    return r < rows && c < columns ? static_cast<float>(values[static_cast<std::size_t>(r * columns + c)]) : 0.0f;
  }
  kernels::simt::TensorMap map() const {
    return {.data = values.data(), .stride = columns, .rows = rows, .columns = columns, .box_rows = 64};
  }
};

}  // namespace test
