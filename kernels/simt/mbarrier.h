// Barriers in shared memory and the bulk copies that report to them, on simt: the twins of mbarrier and of
// cp.async.bulk.tensor. A copy lands as late as it can, alone, when no thread of its cluster can go on without one. Who
// uses what it brings must have waited for the phase in which it landed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/bf16.h"
#include "kernels/simt/grid.h"

namespace kernels::simt {

struct Mbarrier {
  unsigned arrivals = 0;   // that a phase takes; 0: not initialised
  unsigned missing = 0;    // of this phase
  std::int64_t bytes = 0;  // of this phase: expected and not landed yet; below zero: landed and not expected yet
  unsigned ended = 0;      // phases; the parity of the present one is its lowest bit
  unsigned maker = 0;      // the thread that initialised it, counted through its cluster, and when
  Moment made;
  std::uint32_t cluster_barriers = 0;  // before that
  bool fenced = false;                 // since then
};

/// The block's barriers of this id, made by the first thread that asks.
Mbarrier* mbarrier_array(std::size_t count, int id);

void init(Mbarrier& b, unsigned arrivals, Place place);
/// Of all that the thread has initialised.
void fence_inits();
void arrive(Mbarrier& b, std::int64_t bytes, Place place);
void wait_for(Mbarrier& b, unsigned parity, Place place);
/// What another block of the cluster has in the place of b.
Mbarrier& of_rank(Mbarrier& b, unsigned rank, Place place);

/// A matrix of bf16, and the tiles of 64 columns that are copied from it.
struct TensorMap {
  const bf16* data;
  std::int64_t stride, rows, columns, box_rows;
};

/// To element `at` of dynamic shared memory, of each block whose rank is a bit of `ranks`, 0: of this one; reported to
/// b there.
void copy_bulk(std::ptrdiff_t at, const TensorMap& from, int row, int column, Mbarrier& b, unsigned ranks, Place place);

/// Stops the thread that runs if a bulk copy brings some of these bytes of its block's dynamic shared memory, and it
/// has not waited for that.
void require_waited_for(std::size_t first, std::size_t bytes, Place place);

// For grid.cpp.
void begin_mbarriers();
/// Lets one of the copies land that are under way, and says whether there was one.
bool land_copy();
[[noreturn]] void stop_at_mbarrier();

}  // namespace kernels::simt
