#include "mae/encoder.h"

#include <string>

namespace mae {

Encoder::Encoder(engine::Parameters& parameters, const Config& c, const Execution& execution,
                 engine::Trainable positions)
    : patch(c.patch), embed_kept(execution.embed_kept) {
  const std::int64_t class_rows = c.positions == Positions::learned ? 0 : 1;
  cls_token = parameters.add("cls_token", {1, 1, c.dim});
  pos_embed = parameters.add("pos_embed", {1, c.patches() + class_rows, c.dim}, positions);
  patch_embed = {.weight = parameters.add("patch_embed.proj.weight", {c.dim, c.channels, c.patch, c.patch}),
                 .bias = parameters.add("patch_embed.proj.bias", {c.dim})};
  const engine::BlockShape shape{
      .dim = c.dim, .hidden = c.mlp_hidden(c.dim), .heads = c.heads, .qkv_bias = c.qkv_bias, .eps = c.ln_eps};
  for (int i = 0; i < c.depth; ++i)
    blocks.push_back(add_block(parameters, "blocks." + std::to_string(i), shape, execution.fusion()));
}

Tensor Encoder::embed(Context& c, const Images& images, const Masking& masking, std::int64_t keep) const {
  const auto patches = [&](const View& ids) {  // in the order of the embedding's weight
    return patchify(c, images.pixels, images.scale, images.shift, patch, kernels::PatchOrder::channel_row_column, ids);
  };
  const Tensor embedded = embed_kept ? patch_embed(c, patches(masking.kept(keep)))
                                     : token_gather(c, patch_embed(c, patches({})), masking, keep);
  return token_embed(c, embedded, cls_token, pos_embed, masking);
}

PixelScaling pixel_scaling(const Config& config) {
  PixelScaling s;
  const auto of = [](const std::vector<double>& v, int channel) {
    return v.size() == 1 ? v[0] : v[static_cast<std::size_t>(channel)];
  };
  for (int channel = 0; channel < config.channels; ++channel) {
    s.scale.push_back(1 / (of(config.value_range, channel) * of(config.std, channel)));
    s.shift.push_back(-of(config.mean, channel) / of(config.std, channel));
  }
  return s;
}

EveryPatch::EveryPatch(kernels::Stream& stream, std::int64_t batch, std::int64_t patches)
    : table_(stream.device(), static_cast<std::size_t>(batch * patches) * sizeof(std::int32_t)), patches_(patches) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(batch * patches));
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) % patches);
  stream.copy(table_.data(), order.data(), order.size() * sizeof(std::int32_t));
  stream.synchronize();
}

Masking EveryPatch::masking(std::int64_t batch) const {
  const Tensor order = engine::tensor_of(table_.view(kernels::DType::i32, {batch, patches_}));
  return {order, order};
}

}  // namespace mae
