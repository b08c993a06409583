// Barriers in shared memory on simt: the twin of mbarrier.
#pragma once

#include <cstddef>
#include <cstdint>

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
/// What another block of the cluster has in the place of b.
Mbarrier& of_rank(Mbarrier& b, unsigned rank, Place place);

void init(Mbarrier& b, unsigned arrivals, Place place);
/// Of all that the thread has initialised.
void fence_inits();
void arrive(Mbarrier& b, std::int64_t bytes, Place place);
void wait_for(Mbarrier& b, unsigned parity, Place place);

/// Stops a thread that uses b before it is there for it.
void require_made(const Mbarrier& b, Place place);
/// So many of the bytes that a phase waits for have come.
void land(Mbarrier& b, std::int64_t bytes);
/// The thread that runs has waited for the end of that phase, the first being 0.
bool has_waited(const Mbarrier& b, unsigned phase);

// For grid.cpp.
void begin_mbarriers();
[[noreturn]] void stop_at_mbarrier();

}  // namespace kernels::simt
