#include "engine/ops.h"
#include "kernels/masking.h"

namespace engine {

Tensor patchify(Context& c, const View& images, const View& scale, const View& shift, int patch,
                kernels::PatchOrder order) {
  const OpScope scope(c.profile, "patchify");
  const std::int64_t B = images.shape[0], L = (images.shape[1] / patch) * (images.shape[2] / patch);
  Tensor patches = c.tensor({B, L, patch * patch * images.shape[3]});
  launch(
      c.stream,
      kernels::Patchify{
          .images = images, .scale = scale, .shift = shift, .patches = patches.view, .patch = patch, .order = order});
  return patches;
}

Masking mask_ranks(Context& c, const View& draws, std::int64_t patches, std::uint32_t seed, std::uint32_t subindex) {
  const OpScope scope(c.profile, "mask_ranks");
  const Shape shape{draws.shape[0], patches};
  Masking masking{c.tensor(shape, DType::i32), c.tensor(shape, DType::i32)};
  launch(c.stream,
         kernels::MaskRanks{
             .draws = draws, .rank = masking.rank.view, .ids = masking.ids.view, .seed = seed, .subindex = subindex});
  return masking;
}

Tensor token_gather(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep) {
  const OpScope scope(c.profile, "token_gather");
  Tensor out = c.tensor({x.shape()[0], keep, x.shape()[2]});
  launch(c.stream, kernels::TokenGatherForward{.x = x.view, .ids = masking.kept(keep), .out = out.view});
  if (!c.tape || !tracked(x)) return out;
  c.tape->record(
      c, "token_gather", out, {masking.rank}, [x = gradient_only(x), rank = masking.rank](Context& back, Gradient& dy) {
        const GradientTarget dx = gradient_target(back, x);
        launch(back.stream,
               kernels::TokenGatherBackward{.dout = dy.view, .rank = rank.view, .dx = dx.view, .dx_mode = dx.mode});
      });
  return out;
}

Tensor token_embed(Context& c, const Tensor& x, const Parameter& cls, const Parameter& positions,
                   const Masking& masking) {
  const OpScope scope(c.profile, "token_embed");
  const std::int64_t B = x.shape()[0], K = x.shape()[1], C = x.shape()[2];
  const Shape token{1, C}, table{positions.value().shape.count() / C, C};
  const auto class_position =
      table[0] > masking.patches() ? kernels::ClassPosition::first_row : kernels::ClassPosition::none;
  if (c.profile) c.profile->read_parameters(static_cast<double>(C));
  Tensor out = c.tensor({B, 1 + K, C});
  launch(c.stream, kernels::TokenEmbedForward{.x = x.view,
                                              .cls = cls.value(token),
                                              .positions = positions.value(table),
                                              .ids = masking.kept(K),
                                              .out = out.view,
                                              .class_position = class_position});
  if (!c.tape) return out;
  c.tape->record(c, "token_embed", out, {masking.rank},
                 [=, x = gradient_only(x), rank = masking.rank](Context& back, Gradient& dy) {
                   Tensor dx;
                   if (tracked(x)) dx = back.like(x);
                   kernels::TokenEmbedBackward args{
                       .dout = dy.view, .rank = rank.view, .dx = dx.view, .class_position = class_position};
                   args.parameter_mode = cls.take_write_mode();
                   args.dcls = cls.gradient(token);
                   if (positions.trainable()) {
                     positions.take_write_mode();
                     args.dpositions = positions.gradient(table);
                   }
                   launch(back.stream, args);
                   give_gradient(back, x, {dx.view, dx.storage});
                 });
  return out;
}

Tensor token_scatter(Context& c, const Tensor& x, const Parameter& mask_token, const Parameter& positions,
                     const Masking& masking) {
  const OpScope scope(c.profile, "token_scatter");
  const std::int64_t B = x.shape()[0], K = x.shape()[1] - 1, C = x.shape()[2], L = masking.patches();
  const Shape token{1, C}, table{1 + L, C};
  if (c.profile) c.profile->read_parameters(static_cast<double>(C));
  Tensor out = c.tensor({B, 1 + L, C});
  launch(c.stream, kernels::TokenScatterForward{.x = x.view,
                                                .mask_token = mask_token.value(token),
                                                .positions = positions.value(table),
                                                .rank = masking.rank.view,
                                                .out = out.view});
  if (!c.tape) return out;
  c.tape->record(c, "token_scatter", out, {masking.rank, masking.ids},
                 [=, x = gradient_only(x)](Context& back, Gradient& dy) {
                   Tensor dx;
                   if (tracked(x)) dx = back.like(x);
                   kernels::TokenScatterBackward args{
                       .dout = dy.view, .rank = masking.rank.view, .ids = masking.kept(K), .dx = dx.view};
                   args.parameter_mode = mask_token.take_write_mode();
                   args.dmask_token = mask_token.gradient(token);
                   if (positions.trainable()) {
                     positions.take_write_mode();
                     args.dpositions = positions.gradient(table);
                   }
                   launch(back.stream, args);
                   give_gradient(back, x, {dx.view, dx.storage});
                 });
  return out;
}

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

}  // namespace engine
