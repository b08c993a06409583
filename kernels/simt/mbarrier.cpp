#include "kernels/simt/mbarrier.h"

#include <algorithm>
#include <map>
#include <vector>

#include "kernels/core/matrix_descriptor.h"
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
};

std::vector<std::map<int, std::vector<Mbarrier>>> blocks;  // the arrays of each block of the cluster
std::vector<BulkCopy> under_way;

void end_phase_if_whole(Mbarrier& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  b.parity ^= 1;
  b.missing = b.arrivals;
  for (unsigned t = 0; t < launch->grid.threads * launch->grid.cluster; ++t) {
    Thread& thread = *threads[t];
    if (thread.state == State::at_mbarrier && thread.awaited == &b) thread.state = State::ready;
  }
}

void require_made(const Mbarrier& b, Place place) {
  if (b.arrivals == 0) stop("uses an mbarrier that nobody has initialised", place);
  if (b.maker == running) return;
  const unsigned rank = rank_of(b.maker), thread = b.maker % launch->grid.threads;
  const std::string maker = "thread " + std::to_string(thread) + (rank == own_rank() ? "" : " of another block");
  const bool ordered = rank == own_rank() ? !unordered(thread / warp_lanes, 1u << thread % warp_lanes, b.made)
                                          : b.cluster_barriers < launch->cluster_barriers;
  if (!ordered) stop("uses an mbarrier that " + maker + " initialises: no barrier is between them", place);
  if (has_ended(rank)) stop("uses an mbarrier of a block that has ended", place);
}

std::size_t box_bytes(const TensorMap& map) { return static_cast<std::size_t>(map.box_rows) * swizzle_bytes; }

bf16 element(const TensorMap& from, std::int64_t row, std::int64_t column) {
  const bool inside = row >= 0 && row < from.rows && column >= 0 && column < from.columns;
  return inside ? from.data[row * from.stride + column] : bf16(0.0f);
}

}  // namespace

Mbarrier* mbarrier_array(std::size_t count, int id) {
  std::vector<Mbarrier>& found = blocks[own_rank()][id];
  if (found.empty()) found.resize(count);
  if (found.size() != count) stop("asks for " + std::to_string(count) + " mbarriers by the id of others");
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

void arrive(Mbarrier& b, std::int64_t bytes, Place place) {
  require_made(b, place);
  if (b.missing == 0) stop("arrives at an mbarrier whose phase has had all its arrivals", place);
  --b.missing;
  b.bytes += bytes;
  end_phase_if_whole(b);
}

void wait_for(Mbarrier& b, unsigned parity, Place place) {
  require_made(b, place);
  while (b.parity == parity) {
    threads[running]->awaited = &b;
    wait(State::at_mbarrier, place);
  }
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
  const std::size_t byte = static_cast<std::size_t>(at) * sizeof(bf16), bytes = box_bytes(from);
  if (byte % swizzle_tile != 0) stop("copies a tile to an address that is not a multiple of 1024 bytes", place);
  if (ranks == 0) ranks = 1u << own_rank();
  for (unsigned rank = 0; ranks >> rank != 0; ++rank) {
    if (!(ranks >> rank & 1u)) continue;
    Mbarrier& barrier = of_rank(b, rank, place);
    require_made(barrier, place);
    require_not_multiplied(rank, byte, bytes, place);
    SharedArray& to = dynamic_array_of(rank, "bf16", sizeof(bf16));
    for (std::size_t i = 0; i < bytes / sizeof(bf16); ++i) expect_bulk(to, at + static_cast<std::ptrdiff_t>(i), place);
    under_way.push_back(
        {.rank = rank, .to = &to, .at = at, .from = from, .row = row, .column = column, .barrier = &barrier});
  }
}

void begin_mbarriers() {
  blocks.assign(launch->grid.cluster, {});
  under_way.clear();
}

bool land_copies() {
  const std::vector<BulkCopy> landing = std::exchange(under_way, {});
  for (const BulkCopy& copy : landing) {
    if (has_ended(copy.rank)) stop("runs last, and a bulk copy lands in a block that has ended");
    for (std::ptrdiff_t i = 0; i < copy.from.box_rows * box_columns; ++i) {
      const bf16 x = element(copy.from, copy.row + i / box_columns, copy.column + i % box_columns);
      land_bulk(*copy.to, static_cast<std::ptrdiff_t>(swizzled(static_cast<unsigned>(copy.at + i) * 2) / 2), x);
    }
    copy.barrier->bytes -= static_cast<std::int64_t>(box_bytes(copy.from));
    end_phase_if_whole(*copy.barrier);
  }
  return !landing.empty();
}

void stop_at_mbarrier() {
  const Mbarrier& b = *threads[running]->awaited;
  stop("waits at an mbarrier for " + std::to_string(b.missing) + " arrivals and " + std::to_string(b.bytes) +
           " bytes that do not come",
       threads[running]->place);
}

}  // namespace kernels::simt
