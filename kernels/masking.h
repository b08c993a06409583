// Random masking without a sort (MAE, He et al. 2022, section 3: a uniformly random subset of patches is kept).
//
//     key[l]  = Philox word l of (seed, mask; subindex, sample, epoch)          an integer: no rounding anywhere
//     rank[l] = #{j : key[j] < key[l], ties by index},   ids[rank[l]] = l
//
// The rank of a patch is its place in the shuffled order (ids_restore). A sample's mask depends on its index in the
// data set and on the epoch alone: not on batch size, accumulation, worker, rank or device, and it is the same bits
// everywhere.
#pragma once

#include <cstdint>

#include "kernels/core/launch.h"

namespace kernels {

struct MaskRanks {
  static constexpr const char* kernel = "mask_ranks";
  static const Rows<MaskRanks> cpu, cuda, simt;

  View draws;  // (B, 2)   u32: sample index, epoch
  View rank;   // (B, L)   i32, written
  View ids;    // (B, L)   i32, written
  std::uint32_t seed = 0;
  std::uint32_t subindex = 0;  // which of several masks of one sample and epoch

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("draws", a.draws, Role::input);
    f("rank", a.rank, Role::output);
    f("ids", a.ids, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("seed", a.seed);
    f("subindex", a.subindex);
  }
};

void validate(const MaskRanks& a);
Cost cost(const MaskRanks& a);
namespace cpu {
/// The rule itself, for L keys of one sample: rank and ids as above. ids may be the memory of keys.
void rank_by_keys(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank, std::int32_t* ids);
/// The same with vectors.
void rank_by_keys_fast(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank, std::int32_t* ids);
}  // namespace cpu

}  // namespace kernels
