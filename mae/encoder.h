// The encoder (a ViT: Dosovitskiy et al. 2021) that pretraining and classification share: patches, class token and
// positions, then the blocks. What stands behind the last block, a norm of all tokens or a pooling, is the caller's.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/layers.h"
#include "engine/memory.h"
#include "mae/config.h"
#include "mae/execution.h"

namespace mae {

using engine::Context;
using engine::Masking;
using engine::Tensor;
using kernels::View;

/// What a micro-batch of images brings.
struct Images {
  View pixels;  // (B, height, width, channels)   u8, u16, f32 or f64
  View scale;   // (channels)                     kernels::Patchify: 1 / (range std), -mean / std
  View shift;   // (channels)
};

/// scale and shift of kernels::Patchify for the config's mean, std and value range, one pair a channel.
struct PixelScaling {
  std::vector<double> scale, shift;
};
PixelScaling pixel_scaling(const Config& config);

/// Declares its parameters under the official keys: cls_token, pos_embed, patch_embed.proj, blocks.I.
struct Encoder {
  Encoder(engine::Parameters& parameters, const Config& config, const Execution& execution,
          engine::Trainable positions);

  /// The first `keep` patches of the shuffled order -> (B, 1 + keep, dim): class token in front, positions added.
  Tensor embed(Context& c, const Images& images, const Masking& masking, std::int64_t keep) const;

  int patch;
  bool embed_kept;  // Execution
  engine::Parameter cls_token, pos_embed;
  engine::Linear patch_embed;
  std::vector<engine::Block> blocks;
};

/// The masking that keeps every patch, in its place, for up to `batch` samples: tables (batch, L) on the device.
class EveryPatch {
 public:
  EveryPatch(kernels::Stream& stream, std::int64_t batch, std::int64_t patches);
  Masking masking(std::int64_t batch) const;  // of so many samples, at most those of the constructor

 private:
  engine::Buffer table_;
  std::int64_t patches_;
};

}  // namespace mae
