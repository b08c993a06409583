#include "mae/model.h"

#include "mae/init.h"

namespace mae {

using engine::Parameter;
using kernels::Shape;

namespace {

/// The sin-cos tables are constants.
engine::Trainable trained_positions(const Config& c) {
  return c.positions == Positions::learned ? engine::Trainable::yes : engine::Trainable::no;
}

Config checked(const Config& config) {
  validate(config);
  return config;
}

}  // namespace

Model::Model(const Config& config, kernels::DType dtype, const Execution& execution)
    : config_(checked(config)),
      execution_(execution),
      parameters_(dtype),
      encoder_(parameters_, config, execution, trained_positions(config)),
      norm_(add_layernorm(parameters_, "norm", config.dim, config.ln_eps)) {
  for (engine::Block& block : encoder_.blocks) block.norm_follows = true;
  declare_decoder();
  set_decay();
}

void Model::declare_decoder() {
  const Config& c = config_;
  if (c.decoder_embed) decoder_embed_ = add_linear(parameters_, "decoder_embed", c.dim, c.decoder_dim);
  mask_token_ = parameters_.add("mask_token", {1, 1, c.decoder_dim});
  decoder_pos_embed_ = parameters_.add("decoder_pos_embed", {1, c.patches() + 1, c.decoder_dim}, trained_positions(c));
  const engine::BlockShape shape{.dim = c.decoder_dim,
                                 .hidden = c.mlp_hidden(c.decoder_dim),
                                 .heads = c.decoder_heads,
                                 .qkv_bias = c.qkv_bias,
                                 .eps = c.ln_eps};
  for (int i = 0; i < c.decoder_depth; ++i)
    decoder_blocks_.push_back(
        add_block(parameters_, "decoder_blocks." + std::to_string(i), shape, execution_.fusion()));
  for (engine::Block& block : decoder_blocks_) block.norm_follows = &block != &decoder_blocks_.back() || c.decoder_norm;
  if (c.decoder_norm) decoder_norm_ = add_layernorm(parameters_, "decoder_norm", c.decoder_dim, c.ln_eps);
  decoder_pred_ = add_linear(parameters_, "decoder_pred", c.decoder_dim, c.patch_values());
}

void Model::set_decay() {
  for (engine::Segment& segment : parameters_.segments()) {
    const bool exempt = segment.shape.rank == 1 || segment.name.ends_with(".bias");
    segment.decay = config_.decay == DecayRule::official && exempt ? engine::Decay::no : engine::Decay::yes;
  }
}

void Model::initialize(kernels::Stream& stream, std::uint32_t seed, engine::Purpose purpose) {
  parameters_.reserve(stream, purpose);
  draw_initial_values(stream, config_, parameters_, seed);
  parameters_.refresh_compute(stream);
}

Tensor Model::patches_to_predict(Context& c, const Images& images) const {
  return patchify(c, images.pixels, images.scale, images.shift, config_.patch, config_.patch_order);
}

Masking Model::random_masking(Context& c, const View& draws, std::uint32_t seed) const {
  return mask_ranks(c, draws, config_.patches(), seed);
}

Tensor Model::forward_encoder(Context& c, const Images& images, const Masking& masking, std::int64_t keep,
                              const Watch& watch) const {
  const engine::RangeScope range(c.profile, "encoder");
  Tensor x = encoder_.embed(c, images, masking, keep);
  if (watch) watch(x);
  Parameter bias{};  // the last one that was added to x
  for (std::size_t i = 0; i < encoder_.blocks.size(); ++i) {
    const engine::RangeScope scope(c.profile, "blocks." + std::to_string(i));
    const engine::Block& block = encoder_.blocks[i];
    x = block(c, x, bias);
    if (watch) watch(x);
    bias = block.last_bias();
  }
  return norm_(c, x, bias);
}

/// The last block for masked tokens alone, where they are all that is wanted: their rows of (B, 1 + L, C).
Tensor Model::decoder_blocks(Context& c, const Tensor& embedded, const Masking& masking, bool masked_only) const {
  const std::size_t count = decoder_blocks_.size();
  const std::int64_t keep = embedded.shape()[1] - 1;
  Tensor x;
  Parameter bias{};
  for (std::size_t i = 0; i < count; ++i) {
    const engine::RangeScope scope(c.profile, "decoder_blocks." + std::to_string(i));
    const engine::Block& block = decoder_blocks_[i];
    const bool last = masked_only && execution_.masked_queries && i + 1 == count;
    if (i == 0 && !last && execution_.distinct_tokens) {
      x = block.from_distinct(c, distinct_tokens(c, embedded, mask_token_, decoder_pos_embed_, masking), masking);
    } else {
      if (i == 0) x = token_scatter(c, embedded, mask_token_, decoder_pos_embed_, masking);
      x = last ? block.of_masked(c, x, masking, keep, bias) : block(c, x, bias);
    }
    bias = block.last_bias();
  }
  if (count == 0) x = token_scatter(c, embedded, mask_token_, decoder_pos_embed_, masking);
  if (masked_only && !(execution_.masked_queries && count > 0)) x = masked_gather(c, x, masking, keep);
  return config_.decoder_norm ? decoder_norm_(c, x, bias) : x;
}

Tensor Model::forward_decoder(Context& c, const Tensor& latent, const Masking& masking) const {
  const engine::RangeScope range(c.profile, "decoder");
  const Tensor embedded = config_.decoder_embed ? decoder_embed_(c, latent) : latent;
  return decoder_pred_(c, decoder_blocks(c, embedded, masking, false));
}

Tensor Model::forward_masked(Context& c, const Tensor& latent, const Masking& masking) const {
  const engine::RangeScope range(c.profile, "decoder");
  const Tensor embedded = config_.decoder_embed ? decoder_embed_(c, latent) : latent;
  return decoder_pred_(c, decoder_blocks(c, embedded, masking, true));
}

Tensor Model::forward_loss(Context& c, const Images& images, const Tensor& pred, const Masking& masking,
                           const engine::LossSlot& slot, std::int64_t global_batch) const {
  const engine::RangeScope range(c.profile, "loss");
  const std::int64_t keep = config_.keep();
  const double masked_values = static_cast<double>((config_.patches() - keep) * config_.patch_values());
  const engine::MseOptions options{
      .keep = keep,
      .scale = 1 / (static_cast<double>(global_batch) * masked_values),
      .pixels = config_.norm_pix ? kernels::PixelTarget::normalized : kernels::PixelTarget::raw,
      .mode = slot.mode};
  const bool all = pred.shape()[1] == 1 + masking.patches();  // else L - keep, which is always less
  if (!execution_.fuse_loss) {
    const Tensor everywhere = all ? pred : masked_return(c, pred, masking, keep);
    return masked_mse(c, everywhere, patches_to_predict(c, images), masking, slot.loss, options);
  }
  const engine::PixelTargets targets{.images = images.pixels,
                                     .scale = images.scale,
                                     .shift = images.shift,
                                     .patch = config_.patch,
                                     .order = config_.patch_order};
  return pixel_loss(c, all ? masked_gather(c, pred, masking, keep) : pred, targets, masking, slot.loss, options);
}

Tensor Model::forward(Context& c, const Images& images, const View& draws, std::uint32_t seed,
                      const engine::LossSlot& slot, std::int64_t global_batch) const {
  require_masked(config_);
  const Masking masking = random_masking(c, draws, seed);
  const Tensor latent = forward_encoder(c, images, masking, config_.keep());
  const Tensor pred = execution_.masked_head ? forward_masked(c, latent, masking) : forward_decoder(c, latent, masking);
  return forward_loss(c, images, pred, masking, slot, global_batch);
}

}  // namespace mae
