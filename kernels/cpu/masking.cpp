#include "kernels/masking.h"

#include <algorithm>
#include <cstring>

#include "kernels/core/philox.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {

namespace {

void invert(const std::int32_t* rank, std::int64_t L, std::int32_t* ids) {
  for (std::int64_t l = 0; l < L; ++l) ids[rank[l]] = static_cast<std::int32_t>(l);
}

constexpr std::int64_t group = 8;  // patches that are ranked side by side
using Keys = std::uint32_t __attribute__((vector_size(group * 4)));

// The ranks of rank_by_keys, for a group of patches at a time. What decides between equal keys is split off: patches
// before the group win them, patches behind it lose them, and within the group the index is compared.
MAE_VECTOR void rank_groups(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank) {
  const Keys index{0, 1, 2, 3, 4, 5, 6, 7};
  for (std::int64_t begin = 0; begin < L; begin += group) {
    const std::int64_t count = std::min(group, L - begin);
    Keys own{}, smaller{};
    std::memcpy(&own, keys + begin, static_cast<std::size_t>(count) * 4);
    // a comparison that holds is -1
    for (std::int64_t j = 0; j < begin; ++j) smaller -= reinterpret_cast<Keys>(own >= keys[j]);
    for (std::int64_t j = 0; j < count; ++j) {
      const Keys key = Keys{} + keys[begin + j], place = Keys{} + static_cast<std::uint32_t>(j);
      smaller -= reinterpret_cast<Keys>((key < own) | ((key == own) & (place < index)));
    }
    for (std::int64_t j = begin + count; j < L; ++j) smaller -= reinterpret_cast<Keys>(own > keys[j]);
    std::memcpy(rank + begin, &smaller, static_cast<std::size_t>(count) * 4);
  }
}

}  // namespace

void rank_by_keys(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank, std::int32_t* ids) {
  for (std::int64_t l = 0; l < L; ++l) {
    std::int32_t smaller = 0;
    for (std::int64_t j = 0; j < l; ++j) smaller += keys[j] <= keys[l];
    for (std::int64_t j = l + 1; j < L; ++j) smaller += keys[j] < keys[l];
    rank[l] = smaller;
  }
  invert(rank, L, ids);
}

void rank_by_keys_fast(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank, std::int32_t* ids) {
  rank_groups(keys, L, rank);
  invert(rank, L, ids);
}

namespace {

template <class RankByKeys>
void rank_sample(const MaskRanks& a, std::int64_t b, RankByKeys rank_by) {
  const std::int64_t L = a.rank.cols();
  const std::uint32_t* draw = a.draws.row<std::uint32_t>(b);
  const PhiloxKey key{.seed = a.seed, .purpose = static_cast<std::uint32_t>(Purpose::mask)};
  auto* keys = a.ids.row<std::uint32_t>(b);  // the row of ids holds the keys until the ranks are known: no scratch
  for (std::int64_t l = 0; l < L; l += 4) {
    const PhiloxWords words = philox(
        {.block = static_cast<std::uint32_t>(l / 4), .subindex = a.subindex, .sample = draw[0], .time = draw[1]}, key);
    for (std::int64_t i = 0; i < 4 && l + i < L; ++i) keys[l + i] = words.w[i];
  }
  rank_by(keys, L, a.rank.row<std::int32_t>(b), a.ids.row<std::int32_t>(b));
}

void mask_ranks_reference(Stream&, const MaskRanks& a, void*) {
  parallel_for(a.rank.rows(), [&](std::int64_t b) { rank_sample(a, b, rank_by_keys); });
}

void mask_ranks_fast(Stream&, const MaskRanks& a, void*) {
  parallel_for(a.rank.rows(), [&](std::int64_t b) { rank_sample(a, b, rank_by_keys_fast); });
}

constexpr Variant<MaskRanks> rows[] = {
    {.name = "fast", .refuses = nullptr, .run = mask_ranks_fast},
    {.name = "reference", .refuses = nullptr, .run = mask_ranks_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MaskRanks> MaskRanks::cpu{cpu::rows};
}  // namespace kernels
