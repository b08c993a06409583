// Everything that a model says of some images, on the host: what pictures are drawn of, and what is compared with other
// implementations.
#pragma once

#include <cstdint>
#include <vector>

#include "mae/loader.h"
#include "mae/model.h"

namespace mae {

/// f64, whatever the model computes in. Rows of patches are in their order in the image.
struct ModelOutputs {
  std::int64_t images = 0, patches = 0, values = 0, keep = 0, dim = 0;
  std::vector<std::int32_t> rank;  // (images, patches): place in the shuffled order, ids_restore of the official code
  std::vector<double> target;      // (images, patches, values), normalised pixels, before norm_pix
  std::vector<double> predicted;   // the same
  std::vector<double> latent;      // (images, 1 + keep, dim), behind the encoder's norm
  std::vector<std::vector<double>>
      hidden_states;  // before the first block, and behind each: as latent, before the norm
  double loss = 0;    // the training loss of these images; 0 where nothing is masked

  bool visible(std::int64_t image, std::int64_t patch) const {
    return rank[static_cast<std::size_t>(image * patches + patch)] < keep;
  }
};

struct MaskSource {
  std::uint32_t seed = 0;      // of training's masks: they depend on the sample and epoch of the batch's draws
  std::vector<float> noise{};  // (images, patches): mae/noise.h; empty: training's masks
};

/// Runs the model on a batch of any size, `pixels` being its dtype.
ModelOutputs model_outputs(kernels::Stream& stream, const Model& model, const Batch& batch, kernels::DType pixels,
                           const MaskSource& masks = {});

}  // namespace mae
