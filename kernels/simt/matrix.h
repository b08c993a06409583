// Tensor cores on simt: the product of a warp, and how its operands leave shared memory. All 32 lanes meet in one line,
// as for a shuffle; the last one to come does the work of all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/fragments.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/shared.h"

namespace kernels::simt {

/// What one lane brings to a product c += a b.
struct Operands {
  FragmentC* c;
  const FragmentA* a;
  const FragmentB* b;
};

/// Products of bf16 are exact; each element of c takes them in the order of k, in f32. A GPU's order is not documented.
void multiply(const Operands& mine, Place place);

/// ldmatrix, of the row of 8 elements from `at` on that this lane points to. Each counts as read by this lane.
void load_matrices(WarpStep step, unsigned (&to)[4], SharedArray& array, std::ptrdiff_t at, Place place);

// For warp.cpp: all lanes are there, each with what it has brought.
void finish_product(const std::uint64_t (&values)[warp_lanes]);
void finish_loads(const std::uint64_t (&values)[warp_lanes], bool transposed);

}  // namespace kernels::simt
