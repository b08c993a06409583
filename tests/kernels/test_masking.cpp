#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/cases/masking.h"
#include "tests/support/battery.h"

using namespace kernels;

namespace {

struct Masks {
  std::vector<std::vector<std::int32_t>> rank, ids;  // a vector of L for each sample
};

struct Draw {
  std::uint32_t sample, epoch;
};

Masks masks_of(const std::vector<Draw>& draws, std::int64_t L, std::uint32_t seed = 0, std::uint32_t subindex = 0) {
  const auto B = static_cast<std::int64_t>(draws.size());
  const auto count = static_cast<std::size_t>(B * L);
  std::vector<std::int32_t> rank(count, -1), ids(count, -1);
  std::vector<Draw> table = draws;
  Stream stream(devices().front());
  launch(stream, MaskRanks{.draws = view_of(table.data(), DType::u32, {B, 2}),
                           .rank = view_of(rank.data(), DType::i32, {B, L}),
                           .ids = view_of(ids.data(), DType::i32, {B, L}),
                           .seed = seed,
                           .subindex = subindex});
  Masks masks;
  for (std::int64_t b = 0; b < B; ++b) {
    masks.rank.emplace_back(rank.begin() + b * L, rank.begin() + (b + 1) * L);
    masks.ids.emplace_back(ids.begin() + b * L, ids.begin() + (b + 1) * L);
  }
  return masks;
}

// The order of the patches by an independent way: a stable sort of the keys.
std::vector<std::int32_t> order_by_sort(Draw draw, std::int64_t L, std::uint32_t seed, std::uint32_t subindex) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(L));
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::int32_t l) {
    return philox_word(static_cast<std::uint32_t>(l),
                       {.block = 0, .subindex = subindex, .sample = draw.sample, .time = draw.epoch},
                       {.seed = seed, .purpose = static_cast<std::uint32_t>(Purpose::mask)});
  };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t i, std::int32_t j) { return key(i) < key(j); });
  return order;
}

}  // namespace

TEST_CASE("mask_ranks passes the battery") { test::battery<MaskRanks>(); }

TEST_CASE("ids is the sorted order of the keys and rank its inverse") {
  for (std::int64_t L : {1, 2, 16, 49, 196, 257}) {
    const std::vector<Draw> draws{{5, 2}, {0, 0}, {1281166, 799}};
    const Masks masks = masks_of(draws, L, 77, 1);
    for (std::size_t b = 0; b < draws.size(); ++b) {
      CHECK(masks.ids[b] == order_by_sort(draws[b], L, 77, 1));
      for (std::int64_t l = 0; l < L; ++l) {
        CHECK(masks.ids[b][static_cast<std::size_t>(masks.rank[b][static_cast<std::size_t>(l)])] == l);
      }
    }
  }
}

TEST_CASE("the mask of seed 0, sample 5, epoch 2 never changes") {
  CHECK(masks_of({{5, 2}}, 16).rank[0] ==
        std::vector<std::int32_t>{7, 11, 8, 15, 1, 13, 0, 9, 2, 3, 6, 12, 5, 10, 14, 4});
}

TEST_CASE("equal keys are ranked by their index") {
  const std::uint32_t keys[] = {7, 3, 7, 0xffffffffu, 3, 7, 0, 0xffffffffu};
  for (const auto rank_by : {cpu::rank_by_keys, cpu::rank_by_keys_fast}) {
    std::vector<std::int32_t> rank(8), ids(8);
    rank_by(keys, 8, rank.data(), ids.data());
    CHECK(rank == std::vector<std::int32_t>{3, 1, 4, 6, 2, 5, 0, 7});
    CHECK(ids == std::vector<std::int32_t>{6, 1, 4, 0, 2, 5, 3, 7});
  }
}

TEST_CASE("equal keys before, inside and behind a group of vectors are ranked by their index") {
  for (std::uint32_t L = 1; L < 70; ++L) {
    std::vector<std::uint32_t> keys(L);
    for (std::uint32_t l = 0; l < L; ++l) keys[l] = (l * 2654435761u >> 16) % 5 * 0x3fffffffu;  // above 2^31, too
    std::vector<std::int32_t> rank(L), ids(L), fast_rank(L), fast_ids(L);
    cpu::rank_by_keys(keys.data(), L, rank.data(), ids.data());
    cpu::rank_by_keys_fast(keys.data(), L, fast_rank.data(), fast_ids.data());
    CHECK(fast_rank == rank);
    CHECK(fast_ids == ids);
  }
}

TEST_CASE("a sample's mask depends on its index and the epoch, not on its place or the batch") {
  const auto alone = masks_of({{5, 2}}, 49).rank[0];
  CHECK(masks_of({{1, 2}, {2, 2}, {5, 2}, {9, 4}}, 49).rank[2] == alone);
  CHECK(masks_of({{5, 2}, {1, 2}}, 49).rank[0] == alone);
  const Masks twice = masks_of({{5, 2}, {5, 2}}, 49);
  CHECK(twice.rank[0] == twice.rank[1]);
}

TEST_CASE("another sample, epoch, seed or subindex gives another mask") {
  const std::vector<std::vector<std::int32_t>> ranks{
      masks_of({{5, 2}}, 49).rank[0], masks_of({{6, 2}}, 49).rank[0],    masks_of({{5, 3}}, 49).rank[0],
      masks_of({{2, 5}}, 49).rank[0], masks_of({{5, 2}}, 49, 1).rank[0], masks_of({{5, 2}}, 49, 0, 1).rank[0],
  };
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      INFO(i << " and " << j);
      CHECK(ranks[i] != ranks[j]);
    }
  }
}

TEST_CASE("every patch is kept equally often") {
  constexpr std::int64_t L = 196, keep = 49;
  std::vector<Draw> draws;
  for (std::uint32_t sample = 0; sample < 2000; ++sample) draws.push_back({sample, 0});
  const Masks masks = masks_of(draws, L);
  std::vector<int> kept(L, 0);
  for (const auto& rank : masks.rank) {
    for (std::size_t l = 0; l < L; ++l) kept[l] += rank[l] < keep;
  }
  // 0.04 is four standard deviations, sqrt(0.25 * 0.75 / 2000) = 0.0097
  for (std::size_t l = 0; l < L; ++l) CHECK(kept[l] / 2000.0 == Approx(0.25).margin(0.04));
}
