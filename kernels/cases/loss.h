// B samples of L patches of P values, KEEP of them not masked (a quarter unless told); PAD more elements between rows.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/cases/tokens.h"
#include "kernels/loss.h"

namespace kernels {

/// What the two directions share.
struct LossSizes {
  std::int64_t B, L, P, keep, stride;
  double scale;
  View pred, target, rank, statistic;

  LossSizes(const Dims& d, DType t)
      : B(d["B"]), L(d["L"]), P(d["P"]), keep(d.get("KEEP", L / 4)), stride(P + d.get("PAD", 0)) {
    scale = keep < L ? 1.0 / static_cast<double>(B * (L - keep) * P) : 1.0;
    pred = shaped(t, {B, 1 + L, P}, stride);
    target = shaped(t, {B, L, P}, stride);
    rank = shaped(DType::i32, {B, L});
    statistic = shaped(statistics_of(t), {B, L});
  }
};

struct LossCase {
  static constexpr const char* tests[] = {"B=1 L=1 P=2",         "B=2 L=7 P=5",     "B=3 L=4 P=9 KEEP=4",
                                          "B=5 L=49 P=16",       "B=2 L=196 P=768", "B=2 L=16 P=588 PAD=4",
                                          "B=70 L=4 P=13 KEEP=1"};
  static constexpr const char* bench[] = {"B=64 L=196 P=768", "B=64 L=256 P=588 PAD=4", "B=256 L=49 P=16"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }
};

template <>
struct Case<MaskedMseForward> : LossCase {
  static std::vector<MaskedMseForward> make(const Dims& d, DType t) {
    const LossSizes s(d, t);
    const MaskedMseForward raw{.pred = s.pred,
                               .target = s.target,
                               .rank = s.rank,
                               .loss = shaped(statistics_of(t), {1}),
                               .keep = static_cast<int>(s.keep),
                               .scale = s.scale};
    MaskedMseForward normalized = raw, adding = raw;
    normalized.pixels = PixelTarget::normalized;
    normalized.mean = normalized.rstd = s.statistic;
    adding = normalized;
    adding.mode = Write::accumulate;
    return {raw, normalized, adding};
  }
  static void fill(MaskedMseForward& a) { fill_permutations(a.rank, {}, a.rank.cols()); }
};

template <>
struct Case<MaskedMseBackward> : LossCase {
  static std::vector<MaskedMseBackward> make(const Dims& d, DType t) {
    const LossSizes s(d, t);
    const MaskedMseBackward raw{.pred = s.pred,
                                .target = s.target,
                                .rank = s.rank,
                                .dpred = s.pred,
                                .keep = static_cast<int>(s.keep),
                                .scale = s.scale};
    MaskedMseBackward normalized = raw;
    normalized.mean = normalized.rstd = s.statistic;
    return {raw, normalized};
  }
  static void fill(MaskedMseBackward& a) { fill_permutations(a.rank, {}, a.rank.cols()); }
};

}  // namespace kernels
