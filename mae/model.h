// The Masked Autoencoder (He et al., CVPR 2022). Functions stand in the order of the official code: patchify, random
// masking, encoder on visible patches, decoder on all, loss on masked patches.
//
// Parameter names are the official state-dict keys, declared in forward order, encoder first. Where this differs in
// order of work but not in values, mae/execution.h has a switch.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/step.h"
#include "mae/encoder.h"

namespace mae {

class Model {
 public:
  Model(const Config& config, kernels::DType dtype, const Execution& execution = {});

  const Config& config() const { return config_; }
  const Encoder& encoder() const { return encoder_; }
  engine::Parameters& parameters() { return parameters_; }
  const engine::Parameters& parameters() const { return parameters_; }

  /// Allocates, and draws initial values by the config's rule (recipe 1.8): the same for any device.
  void initialize(kernels::Stream& stream, std::uint32_t seed, engine::Purpose purpose);

  /// Patches in the order of target and prediction: (B, L, P P C).
  Tensor patches_to_predict(Context& c, const Images& images) const;

  /// draws (B, 2): sample index and epoch -> rank, ids (B, L).
  Masking random_masking(Context& c, const View& draws, std::uint32_t seed) const;

  /// Sees the tokens that go into the first block, and those that come out of each.
  using Watch = std::function<void(const Tensor&)>;

  /// The first `keep` patches of the shuffled order -> (B, 1 + keep, dim), after the final norm.
  Tensor forward_encoder(Context& c, const Images& images, const Masking& masking, std::int64_t keep,
                         const Watch& watch = {}) const;

  /// (B, 1 + keep, dim) -> predictions (B, 1 + L, P P C); row 0 belongs to the class token.
  Tensor forward_decoder(Context& c, const Tensor& latent, const Masking& masking) const;
  /// The same for masked patches alone, in shuffled order: (B, L - keep, P P C).
  Tensor forward_masked(Context& c, const Tensor& latent, const Masking& masking) const;

  /// Adds this micro-batch's share of the mean over the global batch to `slot`. Takes predictions of either kind.
  Tensor forward_loss(Context& c, const Images& images, const Tensor& pred, const Masking& masking,
                      const engine::LossSlot& slot, std::int64_t global_batch) const;

  /// All of the above.
  Tensor forward(Context& c, const Images& images, const View& draws, std::uint32_t seed, const engine::LossSlot& slot,
                 std::int64_t global_batch) const;

 private:
  void declare_decoder();
  void set_decay();
  Tensor decoder_blocks(Context& c, const Tensor& embedded, const Masking& masking, bool masked_only) const;

  Config config_;
  Execution execution_;
  engine::Parameters parameters_;
  Encoder encoder_;
  engine::LayerNorm norm_;
  engine::Parameter mask_token_, decoder_pos_embed_;
  engine::Linear decoder_embed_, decoder_pred_;
  std::vector<engine::Block> decoder_blocks_;
  engine::LayerNorm decoder_norm_;
};

}  // namespace mae
