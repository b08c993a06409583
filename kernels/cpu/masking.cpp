#include "kernels/masking.h"

#include "kernels/core/philox.h"
#include "kernels/cpu/parallel.h"

namespace kernels::cpu {

void rank_by_keys(const std::uint32_t* keys, std::int64_t L, std::int32_t* rank, std::int32_t* ids) {
  for (std::int64_t l = 0; l < L; ++l) {
    std::int32_t smaller = 0;
    for (std::int64_t j = 0; j < l; ++j) smaller += keys[j] <= keys[l];
    for (std::int64_t j = l + 1; j < L; ++j) smaller += keys[j] < keys[l];
    rank[l] = smaller;
  }
  for (std::int64_t l = 0; l < L; ++l) ids[rank[l]] = static_cast<std::int32_t>(l);
}

namespace {

void rank_sample(const MaskRanks& a, std::int64_t b) {
  const std::int64_t L = a.rank.cols();
  const std::uint32_t* draw = a.draws.row<std::uint32_t>(b);
  const PhiloxKey key{.seed = a.seed, .purpose = static_cast<std::uint32_t>(Purpose::mask)};
  auto* keys = a.ids.row<std::uint32_t>(b);  // the row of ids holds the keys until the ranks are known: no scratch
  for (std::int64_t l = 0; l < L; l += 4) {
    const PhiloxWords words = philox(
        {.block = static_cast<std::uint32_t>(l / 4), .subindex = a.subindex, .sample = draw[0], .time = draw[1]}, key);
    for (std::int64_t i = 0; i < 4 && l + i < L; ++i) keys[l + i] = words.w[i];
  }
  rank_by_keys(keys, L, a.rank.row<std::int32_t>(b), a.ids.row<std::int32_t>(b));
}

void mask_ranks_reference(Stream&, const MaskRanks& a, void*) {
  parallel_for(a.rank.rows(), [&](std::int64_t b) { rank_sample(a, b); });
}

constexpr Variant<MaskRanks> rows[] = {{.name = "reference", .refuses = nullptr, .run = mask_ranks_reference}};

}  // namespace

const Rows<MaskRanks> mask_ranks{rows};

}  // namespace kernels::cpu
