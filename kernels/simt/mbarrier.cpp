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
  SharedArray* to;
  std::ptrdiff_t at;
  TensorMap from;
  int row, column;
  Mbarrier* barrier;
};

std::map<int, std::vector<Mbarrier>> barriers;
std::vector<BulkCopy> under_way;

void end_phase_if_whole(Mbarrier& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  b.parity ^= 1;
  b.missing = b.arrivals;
  for (unsigned t = 0; t < launch->grid.threads; ++t) {
    Thread& thread = *threads[t];
    if (thread.state == State::at_mbarrier && thread.awaited == &b) thread.state = State::ready;
  }
}

void require_made(const Mbarrier& b, Place place) {
  if (b.arrivals == 0) stop("uses an mbarrier that nobody has initialised", place);
  if (b.maker != running && unordered(b.maker / warp_lanes, 1u << b.maker % warp_lanes, b.made))
    stop("uses an mbarrier that thread " + std::to_string(b.maker) + " initialises: no barrier is between them", place);
}

bf16 element(const TensorMap& from, std::int64_t row, std::int64_t column) {
  const bool inside = row >= 0 && row < from.rows && column >= 0 && column < from.columns;
  return inside ? from.data[row * from.stride + column] : bf16(0.0f);
}

}  // namespace

Mbarrier* mbarrier_array(std::size_t count, int id) {
  std::vector<Mbarrier>& found = barriers[id];
  if (found.empty()) found.resize(count);
  if (found.size() != count) stop("asks for " + std::to_string(count) + " mbarriers by the id of others");
  return found.data();
}

void init(Mbarrier& b, unsigned arrivals, Place place) {
  if (arrivals == 0) stop("initialises an mbarrier with no arrivals", place);
  b = {.arrivals = arrivals, .missing = arrivals, .maker = running, .made = now()};
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

void copy_bulk(SharedArray& to, std::ptrdiff_t at, const TensorMap& from, int row, int column, Mbarrier& b,
               Place place) {
  require_made(b, place);
  const auto bytes = static_cast<std::size_t>(from.box_rows) * swizzle_bytes;
  if (static_cast<std::size_t>(at) * sizeof(bf16) % swizzle_tile != 0)
    stop("copies a tile to an address that is not a multiple of 1024 bytes", place);
  require_not_multiplied(static_cast<std::size_t>(at) * sizeof(bf16), bytes, place);
  for (std::ptrdiff_t i = 0; i < from.box_rows * box_columns; ++i) expect_bulk(to, at + i, place);
  under_way.push_back({.to = &to, .at = at, .from = from, .row = row, .column = column, .barrier = &b});
}

void begin_mbarriers() {
  barriers.clear();
  under_way.clear();
}

bool land_copies() {
  const std::vector<BulkCopy> landing = std::exchange(under_way, {});
  for (const BulkCopy& copy : landing) {
    for (std::ptrdiff_t i = 0; i < copy.from.box_rows * box_columns; ++i) {
      const bf16 x = element(copy.from, copy.row + i / box_columns, copy.column + i % box_columns);
      land_bulk(*copy.to, static_cast<std::ptrdiff_t>(swizzled(static_cast<unsigned>(copy.at + i) * 2) / 2), x);
    }
    copy.barrier->bytes -= copy.from.box_rows * std::ptrdiff_t{swizzle_bytes};
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
