// MAE's reconstruction loss (He et al. 2022, section 3, "Reconstruction target"): squared error on masked patches only.
//
//     t     = target, or with norm_pix (target - mean) / sqrt(variance + eps)    per patch over its P values; the
//                                                                                variance divides by P - 1, as the
//                                                                                official code's var()
//     loss += scale * sum over samples, masked patches (rank >= keep) and values of (pred - t)^2
//     dpred = 2 scale dloss (pred - t) on masked patches, 0 elsewhere
//
// scale = 1 / (samples of the global batch * masked patches * P) makes it the mean that the official code takes, and
// shares of a batch (micro-batches, ranks) then add up. Row 0 of a sample's predictions belongs to the class token and
// is ignored. Saved for backward with norm_pix: mean and rstd of each target patch. Sums over patches run in a fixed
// order.
// dtypes: pred and target f64, f32 or bf16, alike; loss, mean, rstd f64 for f64 data, else f32; rank i32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

enum class PixelTarget { raw, normalized };

struct MaskedMseForward {
  static constexpr const char* kernel = "masked_mse_forward";
  static const Rows<MaskedMseForward> cpu, cuda, simt;

  View pred;    // (B, 1 + L, P)
  View target;  // (B, L, P)
  View rank;    // (B, L)
  View loss;    // (1)
  View mean{};  // (B, L)   written for every patch; null exactly for raw pixels
  View rstd{};  // (B, L)
  int keep = 0;
  double scale = 1;
  double eps = 1e-6;
  PixelTarget pixels = PixelTarget::raw;
  Write mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("pred", a.pred, Role::input);
    f("target", a.target, Role::input);
    f("rank", a.rank, Role::input);
    f("loss", a.loss, role_of(a.mode));
    f("mean", a.mean, Role::output);
    f("rstd", a.rstd, Role::output);
  }
};

struct MaskedMseBackward {
  static constexpr const char* kernel = "masked_mse_backward";
  static const Rows<MaskedMseBackward> cpu, cuda, simt;

  View pred;    // (B, 1 + L, P)
  View target;  // (B, L, P)
  View rank;    // (B, L)
  View mean{};  // (B, L)   null exactly for raw pixels
  View rstd{};  // (B, L)
  View dpred;   // (B, 1 + L, P)   written
  int keep = 0;
  double scale = 1;  // times dloss, where that is not 1

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("pred", a.pred, Role::input);
    f("target", a.target, Role::input);
    f("rank", a.rank, Role::input);
    f("mean", a.mean, Role::input);
    f("rstd", a.rstd, Role::input);
    f("dpred", a.dpred, Role::output);
  }
};

void validate(const MaskedMseForward& a);
void validate(const MaskedMseBackward& a);
Cost cost(const MaskedMseForward& a);
Cost cost(const MaskedMseBackward& a);

}  // namespace kernels
