// Images of H x W pixels with C channels in patches of P, all of them or K (a quarter unless told) by their ids; or B
// samples of K kept of L patches, C channels a token.
// PAD more elements between the rows of images and tokens.
#pragma once

#include <utility>

#include "kernels/cases/case.h"
#include "kernels/core/philox.h"
#include "kernels/masking.h"
#include "kernels/tokens.h"

namespace kernels {

/// A permutation of L patches for each sample: its ranks into `rank` (B, L), the first columns of its ids into `ids`
/// (B, K). Either may be null.
inline void fill_permutations(const View& rank, const View& ids, std::int64_t L) {
  std::vector<std::uint32_t> keys(static_cast<std::size_t>(L));
  std::vector<std::int32_t> ranks(keys.size()), order(keys.size());
  for (std::int64_t b = 0; b < (rank ? rank : ids).rows(); ++b) {
    for (std::uint32_t l = 0; l < keys.size(); ++l) {
      keys[l] = philox_word(l, {.block = 0, .subindex = 0, .sample = static_cast<std::uint32_t>(b), .time = 0},
                            {.seed = 0, .purpose = static_cast<std::uint32_t>(Purpose::test)});
    }
    cpu::rank_by_keys(keys.data(), L, ranks.data(), order.data());
    for (std::int64_t l = 0; l < rank.cols(); ++l) rank.row<std::int32_t>(b)[l] = ranks[static_cast<std::size_t>(l)];
    for (std::int64_t k = 0; k < ids.cols(); ++k) ids.row<std::int32_t>(b)[k] = order[static_cast<std::size_t>(k)];
  }
}

/// What the cases below share.
struct TokenSizes {
  std::int64_t B, K, L, C, stride;
  DType t;
  std::int64_t first_masked() const { return K < L ? K : 0; }  // rank; where all are kept, all are taken
  std::int64_t masked() const { return L - first_masked(); }

  TokenSizes(const Dims& d, DType dtype)
      : B(d["B"]), K(d["K"]), L(d["L"]), C(d["C"]), stride(C + d.get("PAD", 0)), t(dtype) {}
  View tokens(std::int64_t T) const { return shaped(t, {B, T, C}, stride); }        // (B, T, C)
  View parameter(std::int64_t T) const { return shaped(t, {T, C}); }                // (T, C)
  View gradient(std::int64_t T) const { return shaped(statistics_of(t), {T, C}); }  // (T, C)
  View rank() const { return shaped(DType::i32, {B, L}); }                          // (B, L)
  View ids() const { return shaped(DType::i32, {B, K}, L); }                        // (B, K) of a table (B, L)
};

/// Shapes, bound and dtypes of the six moves of tokens.
struct TokenCase {
  static constexpr const char* tests[] = {"B=1 K=1 L=1 C=1",           "B=2 K=2 L=7 C=5",   "B=3 K=12 L=49 C=64 PAD=3",
                                          "B=5 K=7 L=8 C=130",         "B=70 K=4 L=4 C=33", "B=2 K=49 L=196 C=192",
                                          "B=2 K=64 L=256 C=588 PAD=4"};
  static constexpr const char* bench[] = {"B=64 K=49 L=196 C=768", "B=64 K=49 L=196 C=512", "B=64 K=64 L=256 C=1280",
                                          "B=256 K=12 L=49 C=192"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }
};

template <>
struct Case<Patchify> {
  static constexpr const char* tests[] = {"B=1 H=1 W=1 C=1 P=1", "B=3 H=28 W=28 C=1 P=4", "B=2 H=6 W=9 C=13 P=3",
                                          "B=2 H=64 W=32 C=3 P=16", "B=2 H=28 W=42 C=3 P=14 PAD=4"};
  static constexpr const char* bench[] = {"B=1024 H=28 W=28 C=1 P=4", "B=1024 H=32 W=32 C=3 P=2",
                                          "B=64 H=224 W=224 C=3 P=16", "B=64 H=224 W=224 C=3 P=14 PAD=4"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<Patchify> make(const Dims& d, DType t) {
    const std::int64_t B = d["B"], H = d["H"], W = d["W"], C = d["C"], P = d["P"], pixels = P * P * C;
    const std::int64_t L = (H / P) * (W / P), K = d.get("K", (L + 3) / 4);
    const View constant = shaped(statistics_of(t), {C});
    const auto patches = [&](std::int64_t count) { return shaped(t, {B, count, pixels}, pixels + d.get("PAD", 0)); };
    std::vector<Patchify> all;
    for (PatchOrder order : {PatchOrder::row_column_channel, PatchOrder::channel_row_column}) {
      for (DType pixel : {DType::u8, DType::u16, DType::f32, DType::f64}) {
        all.push_back({.images = shaped(pixel, {B, H, W, C}),
                       .scale = constant,
                       .shift = constant,
                       .patches = patches(L),
                       .patch = static_cast<int>(P),
                       .order = order});
      }
    }
    all.back().images.row_stride = C + 2;
    for (const std::size_t i : {0, 5, 7}) {  // u8, u16 with the channel slowest, and pixels with gaps
      all.push_back(all[i]);
      all.back().ids = shaped(DType::i32, {B, K}, L);
      all.back().patches = patches(K);
    }
    return all;
  }
  static void fill(Patchify& a) {
    if (a.ids) fill_permutations({}, a.ids, (a.images.shape[1] / a.patch) * (a.images.shape[2] / a.patch));
  }
};

template <>
struct Case<Unpatchify> {
  static constexpr auto& tests = Case<Patchify>::tests;
  static constexpr auto& bench = Case<Patchify>::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return Case<Patchify>::dtypes(); }

  static std::vector<Unpatchify> make(const Dims& d, DType t) {
    std::vector<Unpatchify> all;
    for (const Patchify& a : Case<Patchify>::make(d, t)) {
      if (a.images.dtype != DType::f64 || a.ids) continue;  // one of each order
      all.push_back({.patches = a.patches, .images = a.images, .patch = a.patch, .order = a.order});
      all.back().images.dtype = t;
    }
    return all;
  }
};

template <>
struct Case<TokenGatherForward> : TokenCase {
  static std::vector<TokenGatherForward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    TokenGatherForward natural{.x = s.tokens(s.L), .ids = s.ids(), .out = s.tokens(s.K)}, own_ids = natural;
    own_ids.ids.row_stride = s.K;
    const TokenGatherForward masked{.x = s.tokens(1 + s.L),
                                    .ids = shaped(DType::i32, {s.B, s.masked()}, s.L),
                                    .out = s.tokens(s.masked()),
                                    .class_tokens = 1};
    return {natural, own_ids, masked};
  }
  static void fill(TokenGatherForward& a) { fill_permutations({}, a.ids, a.x.shape[1] - a.class_tokens); }
};

template <>
struct Case<TokenGatherBackward> : TokenCase {
  static std::vector<TokenGatherBackward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    TokenGatherBackward write{.dout = s.tokens(s.K), .rank = s.rank(), .dx = s.tokens(s.L)}, add = write;
    add.dx_mode = Write::accumulate;
    TokenGatherBackward masked = write;
    masked.dout = s.tokens(s.masked());
    masked.dx = s.tokens(1 + s.L);
    masked.class_tokens = 1;
    masked.first_rank = static_cast<int>(s.first_masked());
    TokenGatherBackward add_masked = masked;
    add_masked.dx_mode = Write::accumulate;
    return {write, add, masked, add_masked};
  }
  static void fill(TokenGatherBackward& a) { fill_permutations(a.rank, {}, a.rank.cols()); }
};

template <>
struct Case<TokenEmbedForward> : TokenCase {
  static std::vector<TokenEmbedForward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    TokenEmbedForward official{.x = s.tokens(s.K),
                               .cls = s.parameter(1),
                               .positions = s.parameter(s.L + 1),
                               .ids = s.ids(),
                               .out = s.tokens(1 + s.K)},
        no_class_row = official;
    no_class_row.positions = s.parameter(s.L);
    no_class_row.class_position = ClassPosition::none;
    no_class_row.ids.row_stride = s.K;
    TokenEmbedForward own_class = official, own_class_no_row = no_class_row;
    own_class.x = own_class_no_row.x = s.tokens(1 + s.K);
    own_class.cls = own_class_no_row.cls = View{};
    return {official, no_class_row, own_class, own_class_no_row};
  }
  static void fill(TokenEmbedForward& a) {
    fill_permutations({}, a.ids, a.positions.rows() - (a.class_position == ClassPosition::first_row ? 1 : 0));
  }
};

template <>
struct Case<TokenEmbedBackward> : TokenCase {
  static std::vector<TokenEmbedBackward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    const TokenEmbedBackward all{.dout = s.tokens(1 + s.K),
                                 .rank = s.rank(),
                                 .dx = s.tokens(s.K),
                                 .dcls = s.gradient(1),
                                 .dpositions = s.gradient(s.L + 1)};
    TokenEmbedBackward fixed_positions = all, no_class_row = all, adding = all, only_dx = all;
    fixed_positions.rank = fixed_positions.dpositions = View{};
    no_class_row.dpositions = s.gradient(s.L);
    no_class_row.class_position = ClassPosition::none;
    no_class_row.dx = no_class_row.dcls = View{};
    adding.parameter_mode = Write::accumulate;
    only_dx.rank = only_dx.dcls = only_dx.dpositions = View{};
    TokenEmbedBackward own_class = all;
    own_class.dx = s.tokens(1 + s.K);
    own_class.dcls = View{};
    return {all, fixed_positions, no_class_row, adding, only_dx, own_class};
  }
  static void fill(TokenEmbedBackward& a) {
    if (a.rank) fill_permutations(a.rank, {}, a.rank.cols());
  }
};

template <>
struct Case<TokenScatterForward> : TokenCase {
  static std::vector<TokenScatterForward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    return {{.x = s.tokens(1 + s.K),
             .mask_token = s.parameter(1),
             .positions = s.parameter(s.L + 1),
             .rank = s.rank(),
             .out = s.tokens(1 + s.L)}};
  }
  static void fill(TokenScatterForward& a) { fill_permutations(a.rank, {}, a.rank.cols()); }
};

template <>
struct Case<TokenScatterBackward> : TokenCase {
  static std::vector<TokenScatterBackward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    const TokenScatterBackward all{.dout = s.tokens(1 + s.L),
                                   .rank = s.rank(),
                                   .ids = s.ids(),
                                   .dx = s.tokens(1 + s.K),
                                   .dmask_token = s.gradient(1),
                                   .dpositions = s.gradient(s.L + 1)};
    TokenScatterBackward only_dx = all, fixed_positions = all, adding = all;
    only_dx.dmask_token = only_dx.dpositions = View{};
    fixed_positions.dpositions = View{};
    fixed_positions.ids.row_stride = s.K;
    adding.parameter_mode = Write::accumulate;
    return {all, only_dx, fixed_positions, adding};
  }
  static void fill(TokenScatterBackward& a) { fill_permutations(a.rank, a.ids, a.rank.cols()); }
};

}  // namespace kernels
