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
//
// PixelLoss is both directions in one pass, for predictions of masked patches alone: it cuts its target from the images
// as Patchify does, and the target never stands in memory.
// dtypes: pred and target f64, f32 or bf16, alike; loss, mean, rstd f64 for f64 data, else f32; rank and ids i32.
#pragma once

#include "kernels/core/launch.h"
#include "kernels/tokens.h"

namespace kernels {

enum class PixelTarget { raw, normalized };
constexpr std::array<const char*, 2> names_of(PixelTarget) { return {"raw", "normalized"}; }

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

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("keep", a.keep);
    f("scale", a.scale);
    f("eps", a.eps);
    f("pixels", a.pixels);
    f("mode", a.mode);
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

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("keep", a.keep);
    f("scale", a.scale);
  }
};

/// For prediction m of sample b, of patch l = ids[b, m]:
///     t     = pixel * scale[channel] + shift[channel] over patch l, its P P C values in `order`; normalised as above
///     loss += factor * sum of (pred[b, m] - t)^2
///     dpred[b, m] = 2 factor (pred[b, m] - t)
/// The target is in f64 for f64 data, else in f32, and is not rounded on its way. Rows trust the values of ids.
struct PixelLoss {
  static constexpr const char* kernel = "pixel_loss";
  static const Rows<PixelLoss> cpu, cuda, simt;

  View images;     // (B, height, width, C)   u8, u16, f32 or f64
  View scale;      // (C)                     f64 for f64 predictions, else f32
  View shift;      // (C)
  View pred;       // (B, M, P P C)           f64, f32 or bf16
  View ids;        // (B, M)                  i32: the patch that a prediction is for
  View loss;       // (1)                     f64 for f64 predictions, else f32
  View dpred{};    // (B, M, P P C)           written; null: not wanted
  int patch = 16;  // P, which divides height and width
  PatchOrder order = PatchOrder::row_column_channel;
  PixelTarget pixels = PixelTarget::raw;
  double factor = 1;  // of the loss: what MaskedMseForward calls scale
  double eps = 1e-6;
  Write mode = Write::overwrite;  // of the loss

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("images", a.images, Role::input);
    f("scale", a.scale, Role::input);
    f("shift", a.shift, Role::input);
    f("pred", a.pred, Role::input);
    f("ids", a.ids, Role::input);
    f("loss", a.loss, role_of(a.mode));
    f("dpred", a.dpred, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("patch", a.patch);
    f("order", a.order);
    f("pixels", a.pixels);
    f("factor", a.factor);
    f("eps", a.eps);
    f("mode", a.mode);
  }
};

void validate(const MaskedMseForward& a);
void validate(const MaskedMseBackward& a);
void validate(const PixelLoss& a);
Cost cost(const MaskedMseForward& a);
Cost cost(const MaskedMseBackward& a);
Cost cost(const PixelLoss& a);

}  // namespace kernels
