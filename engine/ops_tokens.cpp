#include "engine/ops_common.h"
#include "kernels/masking.h"

namespace engine {

Tensor patchify(Context& c, const View& images, const View& scale, const View& shift, int patch,
                kernels::PatchOrder order, const View& ids) {
  const OpScope scope(c.profile, "patchify");
  const std::int64_t B = images.shape[0], L = (images.shape[1] / patch) * (images.shape[2] / patch);
  Tensor patches = c.tensor({B, ids ? ids.shape[1] : L, patch * patch * images.shape[3]});
  launch(c.stream, kernels::Patchify{.images = images,
                                     .scale = scale,
                                     .shift = shift,
                                     .ids = ids,
                                     .patches = patches.view,
                                     .patch = patch,
                                     .order = order});
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

Tensor masked_gather(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep) {
  const OpScope scope(c.profile, "masked_gather");
  Tensor out = c.tensor({x.shape()[0], masking.patches() - keep, x.shape()[2]});
  launch_masked_gather(c, x.view, masking, keep, out.view);
  if (!c.tape || !tracked(x)) return out;
  c.tape->record(c, "masked_gather", out, {masking.rank, masking.ids},
                 [=, x = gradient_only(x)](Context& back, Gradient& dy) {
                   launch_masked_return(back, dy.view, masking, keep, gradient_target(back, x));
                 });
  return out;
}

Tensor masked_return(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep) {
  const OpScope scope(c.profile, "masked_return");
  Tensor out = c.tensor({x.shape()[0], 1 + masking.patches(), x.shape()[2]});
  launch_masked_return(c, x.view, masking, keep, {out.view, kernels::Write::overwrite});
  if (!c.tape || !tracked(x)) return out;
  c.tape->record(c, "masked_return", out, {masking.rank, masking.ids},
                 [=, x = gradient_only(x)](Context& back, Gradient& dy) {
                   const Tensor dx = back.like(x);
                   launch_masked_gather(back, dy.view, masking, keep, dx.view);
                   give_gradient(back, x, {dx.view, dx.storage});
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

Tensor token_pool(Context& c, const Tensor& x, kernels::Pooling pooling) {
  const OpScope scope(c.profile, "token_pool");
  Tensor out = c.tensor({x.shape()[0], x.shape()[2]});
  launch(c.stream, kernels::TokenPoolForward{.x = x.view, .out = out.view, .pooling = pooling});
  if (!c.tape || !tracked(x)) return out;
  c.tape->record(c, "token_pool", out, {}, [x = gradient_only(x), pooling](Context& back, Gradient& dy) {
    const GradientTarget dx = gradient_target(back, x);
    launch(back.stream,
           kernels::TokenPoolBackward{.dout = dy.view, .dx = dx.view, .dx_mode = dx.mode, .pooling = pooling});
  });
  return out;
}

}  // namespace engine
