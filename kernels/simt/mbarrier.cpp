#include "kernels/simt/mbarrier.h"

#include <map>
#include <vector>

#include "kernels/core/matrix_descriptor.h"
#include "kernels/simt/shared.h"
#include "kernels/simt/state.h"
#include "kernels/simt/wgmma.h"

namespace kernels::simt {
namespace {

constexpr std::ptrdiff_t box_columns = swizzle_bytes / sizeof(bf16);

struct BulkCopy {
  unsigned rank;
  SharedArray* to;
  std::ptrdiff_t at;
  TensorMap from;
  int row, column;
  Mbarrier* barrier;
  unsigned phase = 0;  // of the barrier, in which it has landed

  std::ptrdiff_t count() const { return from.box_rows * box_columns; }
  std::size_t first_byte() const { return static_cast<std::size_t>(at) * sizeof(bf16); }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * sizeof(bf16); }
  bool overlaps(unsigned of_rank, std::size_t first, std::size_t size) const {
    return rank == of_rank && first < first_byte() + bytes() && first_byte() < first + size;
  }
};

std::vector<std::map<int, std::vector<Mbarrier>>> blocks;  // the arrays of each block of the cluster
std::vector<BulkCopy> under_way, landed;                   // landed: what still lies there
std::vector<std::map<const Mbarrier*, unsigned>> waited;   // one a thread: phases ended when it last waited

void end_phase_if_whole(Mbarrier& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  ++b.ended;
  b.missing = b.arrivals;
  for (const auto& thread : threads) {
    if (thread->state == State::at_mbarrier && thread->awaited == &b) thread->state = State::ready;
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

bf16 element(const TensorMap& from, std::int64_t row, std::int64_t column) {
  const bool inside = row >= 0 && row < from.rows && column >= 0 && column < from.columns;
  return inside ? from.data[row * from.stride + column] : bf16(0.0f);
}

}  // namespace

Mbarrier* mbarrier_array(std::size_t count, int id) {
  shared_array("mbarrier", sizeof(std::uint64_t), count, id);  // takes its room
  std::vector<Mbarrier>& found = blocks[own_rank()][id];
  if (found.empty()) found.resize(count);
  return found.data();
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

void copy_bulk(std::ptrdiff_t at, const TensorMap& from, int row, int column, Mbarrier& b, unsigned ranks,
               Place place) {
  if (ranks == 0) ranks = 1u << own_rank();
  for (unsigned rank = 0; ranks >> rank != 0; ++rank) {
    if (!(ranks >> rank & 1u)) continue;
    const BulkCopy copy{.rank = rank,
                        .to = &dynamic_array_of(rank, "bf16", sizeof(bf16)),
                        .at = at,
                        .from = from,
                        .row = row,
                        .column = column,
                        .barrier = &of_rank(b, rank, place)};
    if (copy.first_byte() % swizzle_tile != 0)
      stop("copies a tile to an address that is not a multiple of 1024 bytes", place);
    require_made(*copy.barrier, place);
    require_not_multiplied(rank, copy.first_byte(), copy.bytes(), place);
    for (std::ptrdiff_t i = 0; i < copy.count(); ++i) expect_bulk(*copy.to, at + i, place);
    std::erase_if(landed, [&](const BulkCopy& old) { return old.overlaps(rank, copy.first_byte(), copy.bytes()); });
    under_way.push_back(copy);
  }
}

void require_waited_for(std::size_t first, std::size_t bytes, Place place) {
  const char* what = "uses what a bulk copy brings, and has not waited for that";
  for (const BulkCopy& copy : under_way) {
    if (copy.overlaps(own_rank(), first, bytes)) stop(what, place);
  }
  for (const BulkCopy& copy : landed) {
    if (copy.overlaps(own_rank(), first, bytes) && waited[running][copy.barrier] <= copy.phase) stop(what, place);
  }
}

void begin_mbarriers() {
  blocks.assign(launch->grid.cluster, {});
  waited.assign(launch->grid.threads * launch->grid.cluster, {});
  under_way.clear();
  landed.clear();
}

bool land_copy() {
  if (under_way.empty()) return false;
  const auto which = under_way.begin() + draw() % under_way.size();
  BulkCopy copy = *which;
  under_way.erase(which);
  if (has_ended(copy.rank)) stop("runs last, and a bulk copy lands in a block that has ended");
  for (std::ptrdiff_t i = 0; i < copy.count(); ++i) {
    const bf16 x = element(copy.from, copy.row + i / box_columns, copy.column + i % box_columns);
    land_bulk(*copy.to, static_cast<std::ptrdiff_t>(swizzled(static_cast<unsigned>(copy.at + i) * 2) / 2), x);
  }
  copy.phase = copy.barrier->ended;
  copy.barrier->bytes -= static_cast<std::int64_t>(copy.bytes());
  landed.push_back(copy);
  end_phase_if_whole(*copy.barrier);
  return true;
}

void stop_at_mbarrier() {
  const Mbarrier& b = *threads[running]->awaited;
  stop("waits at an mbarrier for " + std::to_string(b.missing) + " arrivals and " + std::to_string(b.bytes) +
           " bytes that do not come",
       threads[running]->place);
}

}  // namespace kernels::simt
