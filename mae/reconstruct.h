// Reconstructions as people look at them: original, masked, predicted, and predicted with the visible patches pasted
// in.
#pragma once

#include <cstdint>
#include <vector>

#include "mae/image.h"
#include "mae/loader.h"
#include "mae/model.h"

namespace mae {

/// Pixels as parts of the value range (0 black, 1 white; predictions may lie outside), each (N, height, width, C).
struct Reconstruction {
  std::int64_t count = 0;
  int height = 0, width = 0, channels = 0;
  std::vector<float> original, masked, predicted, pasted;  // masked patches are mid-grey in `masked`
};

/// Runs the model on a batch of any size with masks drawn from (seed, sample, epoch) of its draws, keeping `keep`
/// patches (0: as the config says). A model trained on normalised pixels predicts each patch in units of its own mean
/// and deviation, which are taken from the original: that is undone here, else the picture would look like noise.
Reconstruction reconstruct(kernels::Stream& stream, const Model& model, const Batch& batch, kernels::DType pixels,
                           std::uint32_t seed, std::int64_t keep = 0);

/// One picture of `values` as u8 for showing: `bands` are one channel (grey) or three (colour), from 0, that are there.
Image picture(const Reconstruction& r, const std::vector<float>& values, std::int64_t index,
              const std::vector<int>& bands);

/// The same of an image, whose pixels of value_range are shown white.
Image picture(const Image& image, const std::vector<int>& bands, double value_range);

/// The bands to show by default: the first three, or the first one.
std::vector<int> default_bands(int channels);

}  // namespace mae
