#include "engine/ops.h"

namespace engine {

Tensor masked_mse(Context& c, const Tensor& pred, const Tensor& target, const Masking& masking, const View& loss,
                  const MseOptions& o) {
  const OpScope scope(c.profile, "masked_mse");
  const DType statistics = kernels::statistics_of(pred.dtype());
  const Shape patches = masking.rank.shape();
  Tensor mean, rstd;
  if (o.pixels == kernels::PixelTarget::normalized) {
    mean = c.tensor(patches, statistics);
    rstd = c.tensor(patches, statistics);
  }
  const int keep = static_cast<int>(o.keep);
  launch(c.stream, kernels::MaskedMseForward{.pred = pred.view,
                                             .target = target.view,
                                             .rank = masking.rank.view,
                                             .loss = loss,
                                             .mean = mean.view,
                                             .rstd = rstd.view,
                                             .keep = keep,
                                             .scale = o.scale,
                                             .pixels = o.pixels,
                                             .mode = o.mode});
  Tensor result = tensor_of(loss);
  if (!c.tape) return result;
  c.tape->record(c, "masked_mse", result, {pred, target, masking.rank, mean, rstd},
                 [=, rank = masking.rank, scale = o.scale](Context& back, Gradient&) {
                   if (!tracked(pred)) return;
                   const Tensor dpred = back.like(pred);
                   launch(back.stream, kernels::MaskedMseBackward{.pred = pred.view,
                                                                  .target = target.view,
                                                                  .rank = rank.view,
                                                                  .mean = mean.view,
                                                                  .rstd = rstd.view,
                                                                  .dpred = dpred.view,
                                                                  .keep = keep,
                                                                  .scale = scale});
                   give_gradient(back, pred, {dpred.view, dpred.storage});
                 });
  return result;
}

Tensor pixel_loss(Context& c, const Tensor& pred, const PixelTargets& t, const Masking& masking, const View& loss,
                  const MseOptions& o) {
  const OpScope scope(c.profile, "pixel_loss");
  Tensor dpred;
  if (c.tape && tracked(pred)) dpred = c.like(pred);
  launch(c.stream, kernels::PixelLoss{.images = t.images,
                                      .scale = t.scale,
                                      .shift = t.shift,
                                      .pred = pred.view,
                                      .ids = masking.masked(o.keep),
                                      .loss = loss,
                                      .dpred = dpred.view,
                                      .patch = t.patch,
                                      .order = t.order,
                                      .pixels = o.pixels,
                                      .factor = o.scale,
                                      .mode = o.mode});
  Tensor result = tensor_of(loss);
  if (!c.tape) return result;
  c.tape->record(c, "pixel_loss", result, {dpred}, [pred = gradient_only(pred), dpred](Context& back, Gradient&) {
    if (dpred) give_gradient(back, pred, {dpred.view, dpred.storage});
  });
  return result;
}

}  // namespace engine
