// Bulk copies of tiles on simt: the twin of cp.async.bulk.tensor, in two dimensions, of bf16, swizzled by 128 bytes. A
// copy lands as late as it can, alone, when no thread of its cluster can go on without one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/bf16.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/mbarrier.h"

namespace kernels::simt {

/// A matrix of bf16, and the tiles of 64 columns that are copied from it.
struct TensorMap {
  const bf16* data;
  std::int64_t stride, rows, columns, box_rows;
};

/// To element `at` of dynamic shared memory, of each block whose rank is a bit of `ranks`, 0: of this one; reported to
/// b there.
void copy_bulk(std::ptrdiff_t at, const TensorMap& from, int row, int column, Mbarrier& b, unsigned ranks, Place place);

// For grid.cpp.
void begin_copies();
/// Lets one of the copies land that are under way, and says whether there was one.
bool land_copy();

}  // namespace kernels::simt
