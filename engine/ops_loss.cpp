#include "engine/ops.h"
#include "kernels/cross_entropy.h"

namespace engine {
namespace {

/// Records a loss whose kernel has made the gradient of its input already; null: nobody wants it.
Tensor record_loss(Context& c, const char* op, const View& loss, const Tensor& input, const Tensor& gradient) {
  Tensor result = tensor_of(loss);
  if (!c.tape) return result;
  c.tape->record(c, op, result, {gradient}, [input = gradient_only(input), gradient](Context& back, Gradient&) {
    if (gradient) give_gradient(back, input, {gradient.view, gradient.storage});
  });
  return result;
}

/// Where the gradient of a loss goes; null: nobody wants it.
Tensor gradient_of_loss(Context& c, const Tensor& input) { return c.tape && tracked(input) ? c.like(input) : Tensor{}; }

}  // namespace

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
  const Tensor dpred = gradient_of_loss(c, pred);
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
  return record_loss(c, "pixel_loss", loss, pred, dpred);
}

Tensor cross_entropy(Context& c, const Tensor& logits, const ClassTargets& t, const View& loss, double factor,
                     kernels::Write mode) {
  const OpScope scope(c.profile, "cross_entropy");
  const Tensor dlogits = gradient_of_loss(c, logits);
  launch(c.stream, kernels::SoftmaxCrossEntropy{.logits = logits.view,
                                                .labels = t.labels,
                                                .lambda = t.lambda,
                                                .class_weight = t.class_weight,
                                                .loss = loss,
                                                .dlogits = dlogits.view,
                                                .smoothing = t.smoothing,
                                                .factor = factor,
                                                .mode = mode});
  return record_loss(c, "cross_entropy", loss, logits, dlogits);
}

Tensor binary_cross_entropy(Context& c, const Tensor& logits, const BinaryTargets& t, const View& loss, double factor,
                            kernels::Write mode) {
  const OpScope scope(c.profile, "binary_cross_entropy");
  const Tensor dlogits = gradient_of_loss(c, logits);
  launch(c.stream, kernels::SigmoidCrossEntropy{.logits = logits.view,
                                                .targets = t.targets,
                                                .weight = t.weight,
                                                .loss = loss,
                                                .dlogits = dlogits.view,
                                                .factor = factor,
                                                .mode = mode});
  return record_loss(c, "binary_cross_entropy", loss, logits, dlogits);
}

}  // namespace engine
