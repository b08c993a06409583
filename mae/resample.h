// The separable filter under augment.h; the formula stands there.
#pragma once

#include "mae/augment.h"

namespace mae {

/// Writes the box at height x width; the box lies inside the image.   out (height, width, channels)
void resample(const Image& image, const Crop& crop, int height, int width, std::byte* out);

}  // namespace mae
