// Reconstructions as people look at them: original, masked, predicted, and predicted with the visible patches pasted
// in.
#pragma once

#include <cstdint>
#include <vector>

#include "mae/image.h"
#include "mae/model_outputs.h"

namespace mae {

/// Pixels as parts of the value range (0 black, 1 white; predictions may lie outside), each (N, height, width, C).
struct Reconstruction {
  std::int64_t count = 0;
  int height = 0, width = 0, channels = 0;
  std::vector<float> original, masked, predicted, pasted;  // masked patches are mid-grey in `masked`
};

/// As pictures. A model trained on normalised pixels predicts each patch in units of its own mean and deviation, which
/// are taken from the original: that is undone here, else the picture would look like noise.
Reconstruction reconstruction(const Config& config, const ModelOutputs& outputs);

/// One picture of `values` as u8 for showing: `bands` are one channel (grey) or three (colour), from 0, that are there.
Image picture(const Reconstruction& r, const std::vector<float>& values, std::int64_t index,
              const std::vector<int>& bands);

/// The same of an image, whose pixels of value_range are shown white.
Image picture(const Image& image, const std::vector<int>& bands, double value_range);

/// The bands to show by default: the first three, or the first one.
std::vector<int> default_bands(int channels);

}  // namespace mae
