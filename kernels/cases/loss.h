// B samples of L patches of P values, KEEP of them not masked (a quarter unless told); PAD more elements between rows.
// On pixels: images of H x W pixels with C channels in patches of P, M of them masked (three quarters unless told).
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

template <>
struct Case<PixelLoss> {
  // P=32: 3072 values, more than a GPU row holds in registers
  static constexpr const char* tests[] = {"B=1 H=2 W=2 C=1 P=2",          "B=3 H=28 W=28 C=1 P=4",
                                          "B=2 H=6 W=9 C=13 P=3",         "B=5 H=32 W=48 C=3 P=16",
                                          "B=2 H=28 W=42 C=3 P=14 PAD=4", "B=2 H=28 W=28 C=3 P=14 M=4",
                                          "B=2 H=64 W=32 C=3 P=32 M=1",   "B=70 H=4 W=6 C=2 P=2"};
  static constexpr const char* bench[] = {"B=64 H=224 W=224 C=3 P=16", "B=64 H=224 W=224 C=3 P=14 PAD=4",
                                          "B=1024 H=28 W=28 C=1 P=4"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<PixelLoss> make(const Dims& d, DType t) {
    const std::int64_t B = d["B"], H = d["H"], W = d["W"], C = d["C"], P = d["P"], L = (H / P) * (W / P);
    const std::int64_t M = d.get("M", L - L / 4), values = P * P * C;
    const View constant = shaped(statistics_of(t), {C});
    const View tokens = shaped(t, {B, M, values}, values + d.get("PAD", 0));
    const PixelLoss normalized{.images = shaped(DType::u8, {B, H, W, C}),
                               .scale = constant,
                               .shift = constant,
                               .pred = tokens,
                               .ids = shaped(DType::i32, {B, M}, L),
                               .loss = shaped(statistics_of(t), {1}),
                               .dpred = tokens,
                               .patch = static_cast<int>(P),
                               .pixels = PixelTarget::normalized,
                               .factor = 1.0 / static_cast<double>(B * M * values)};
    PixelLoss raw = normalized, only_loss = normalized, adding = normalized, wide_pixels = normalized,
              planes = normalized, gaps = normalized;
    raw.pixels = PixelTarget::raw;
    raw.images.dtype = DType::f32;
    only_loss.dpred = View{};
    adding.mode = Write::accumulate;
    adding.images.dtype = wide_pixels.images.dtype = DType::u16;
    wide_pixels.ids.row_stride = M;
    wide_pixels.dpred.row_stride += 1;  // rows that no pack fits, beside those of pred
    planes.order = PatchOrder::channel_row_column;
    gaps.images = shaped(DType::f64, {B, H, W, C}, C + 2);
    return {normalized, raw, only_loss, adding, wide_pixels, planes, gaps};
  }
  static void fill(PixelLoss& a) {
    fill_permutations({}, a.ids, (a.images.shape[1] / a.patch) * (a.images.shape[2] / a.patch));
  }
};

}  // namespace kernels
