#include "kernels/masking.h"

namespace kernels {

void validate(const MaskRanks& a) {
  require(a.rank.dtype == DType::i32 && a.rank.shape.rank == 2 && a.rank.shape.count() > 0, a,
          "rank must be i32 (B, L) and not empty");
  require(a.ids.dtype == DType::i32 && a.ids.shape == a.rank.shape, a, "ids must be i32 (B, L) like rank");
  require(a.draws.dtype == DType::u32 && a.draws.shape == Shape{a.rank.shape[0], 2}, a,
          "draws must be u32 (B, 2): sample index, epoch");
}

Cost cost(const MaskRanks& a) { return {.flops = 0, .bytes = field_bytes(a)}; }

}  // namespace kernels
