#include "kernels/simt/mbarrier.h"

#include <map>
#include <vector>

#include "kernels/simt/state.h"

namespace kernels::simt {
namespace {

std::vector<std::map<int, std::vector<Mbarrier>>> blocks;  // the arrays of each block of the cluster
std::vector<std::map<const Mbarrier*, unsigned>> waited;   // one a thread: phases ended when it last waited

void end_phase_if_whole(Mbarrier& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  ++b.ended;
  b.missing = b.arrivals;
  for (const auto& thread : threads) {
    if (thread->state == State::at_mbarrier && thread->awaited == &b) thread->state = State::ready;
  }
}

}  // namespace

Mbarrier* mbarrier_array(std::size_t count, int id) {
  std::vector<Mbarrier>& found = blocks[own_rank()][id];
  if (found.empty()) found.resize(count);
  return found.data();
}

Mbarrier& of_rank(Mbarrier& b, unsigned rank, Place place) {
  if (rank >= launch->grid.cluster) stop("names block " + std::to_string(rank) + " of its cluster", place);
  for (const auto& [id, array] : blocks[own_rank()]) {
    if (&b < array.data() || &b >= array.data() + array.size()) continue;
    std::vector<Mbarrier>& other = blocks[rank][id];
    if (other.size() != array.size()) stop("uses an mbarrier that another block has not made", place);
    return other[static_cast<std::size_t>(&b - array.data())];
  }
  stop("uses an mbarrier that is none", place);
}

void init(Mbarrier& b, unsigned arrivals, Place place) {
  if (arrivals == 0) stop("initialises an mbarrier with no arrivals", place);
  b = {.arrivals = arrivals,
       .missing = arrivals,
       .maker = running,
       .made = now(),
       .cluster_barriers = launch->cluster_barriers};
}

void fence_inits() {
  for (auto& [id, array] : blocks[own_rank()]) {
    for (Mbarrier& b : array) b.fenced = b.fenced || b.maker == running;
  }
}

void require_made(const Mbarrier& b, Place place) {
  if (b.arrivals == 0) stop("uses an mbarrier that nobody has initialised", place);
  if (!b.fenced) stop("uses an mbarrier that was initialised without a fence behind", place);
  if (b.maker == running) return;
  const unsigned rank = rank_of(b.maker), thread = b.maker % launch->grid.threads;
  const std::string maker = "thread " + std::to_string(thread) + (rank == own_rank() ? "" : " of another block");
  const bool ordered = rank == own_rank() ? !unordered(thread / warp_lanes, 1u << thread % warp_lanes, b.made)
                                          : b.cluster_barriers < launch->cluster_barriers;
  if (!ordered) stop("uses an mbarrier that " + maker + " initialises: no barrier is between them", place);
  if (has_ended(rank)) stop("uses an mbarrier of a block that has ended", place);
}

void arrive(Mbarrier& b, std::int64_t bytes, Place place) {
  require_made(b, place);
  if (b.missing == 0) stop("arrives at an mbarrier whose phase has had all its arrivals", place);
  --b.missing;
  b.bytes += bytes;
  end_phase_if_whole(b);
}

void wait_for(Mbarrier& b, unsigned parity, Place place) {
  require_made(b, place);
  while (b.ended % 2 == parity) {
    threads[running]->awaited = &b;
    wait(State::at_mbarrier, place);
  }
  waited[running][&b] = b.ended;
}

void land(Mbarrier& b, std::int64_t bytes) {
  b.bytes -= bytes;
  end_phase_if_whole(b);
}

bool has_waited(const Mbarrier& b, unsigned phase) {
  const auto found = waited[running].find(&b);
  return found != waited[running].end() && found->second > phase;
}

void begin_mbarriers() {
  blocks.assign(launch->grid.cluster, {});
  waited.assign(launch->grid.threads * launch->grid.cluster, {});
}

void stop_at_mbarrier() {
  const Mbarrier& b = *threads[running]->awaited;
  stop("waits at an mbarrier for " + std::to_string(b.missing) + " arrivals and " + std::to_string(b.bytes) +
           " bytes that do not come",
       threads[running]->place);
}

}  // namespace kernels::simt
