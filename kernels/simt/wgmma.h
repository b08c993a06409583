// Products of a warpgroup on simt: the twin of wgmma.m64n128k16, whose operands are tiles in dynamic shared memory. A
// product is made as late as it can be, when its warpgroup waits for it: until then its tiles must stay, and its sums
// are what they were.
#pragma once

#include <cstddef>

#include "kernels/core/fragments.h"
#include "kernels/core/matrix_descriptor.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/shared.h"

namespace kernels::simt {

/// What one thread asks for: sums = a b, or sums += a b.
struct WarpgroupProduct {
  Accumulators* sums;
  MatrixDescriptor a, b;
  bool adds, k_down_a, k_down_b;
  Place place;
};

void fence_products();
void ask_for_product(const WarpgroupProduct& product);
void commit_products();
/// All 128 threads meet.
void wait_for_products(unsigned groups_left, Place place);

// For grid.cpp.
void begin_products();
void require_no_products();
[[noreturn]] void stop_in_warpgroup();

}  // namespace kernels::simt
