#include "kernels/simt/bulk_copy.h"

#include <vector>

#include "kernels/core/matrix_descriptor.h"
#include "kernels/simt/shared.h"
#include "kernels/simt/state.h"

namespace kernels::simt {
namespace {

constexpr std::ptrdiff_t box_columns = swizzle_bytes / sizeof(bf16);

struct BulkCopy {
  unsigned rank;  // of the block it goes to
  SharedArray* to;
  std::ptrdiff_t at;
  TensorMap from;
  int row, column;
  Mbarrier* barrier;

  std::ptrdiff_t count() const { return from.box_rows * box_columns; }
};

std::vector<BulkCopy> under_way;

bf16 element(const TensorMap& from, std::int64_t row, std::int64_t column) {
  const bool inside = row >= 0 && row < from.rows && column >= 0 && column < from.columns;
  return inside ? from.data[row * from.stride + column] : bf16(0.0f);
}

}  // namespace

void copy_bulk(std::ptrdiff_t at, const TensorMap& from, int row, int column, Mbarrier& b, unsigned ranks,
               Place place) {
  if (static_cast<std::size_t>(at) * sizeof(bf16) % swizzle_tile != 0)
    stop("copies a tile to an address that is not a multiple of 1024 bytes", place);
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
    require_made(*copy.barrier, place);
    for (std::ptrdiff_t i = 0; i < copy.count(); ++i) expect_bulk(*copy.to, at + i, rank == own_rank(), place);
    under_way.push_back(copy);
  }
}

void begin_copies() { under_way.clear(); }

bool land_copy() {
  if (under_way.empty()) return false;
  const auto which = under_way.begin() + draw() % under_way.size();
  const BulkCopy copy = *which;
  under_way.erase(which);
  if (has_ended(copy.rank)) stop("runs last, and a bulk copy lands in a block that has ended");
  for (std::ptrdiff_t i = 0; i < copy.count(); ++i) {
    const bf16 x = element(copy.from, copy.row + i / box_columns, copy.column + i % box_columns);
    const unsigned byte = swizzled(static_cast<unsigned>(copy.at + i) * sizeof(bf16));
    land_bulk(*copy.to, byte / sizeof(bf16), x, *copy.barrier);
  }
  land(*copy.barrier, copy.count() * std::ptrdiff_t{sizeof(bf16)});
  return true;
}

}  // namespace kernels::simt
