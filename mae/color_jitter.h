// Brightness, contrast and saturation changed at random, as torchvision's ColorJitter without its hue.
//
// Each factor is uniform in [max(0, 1 - x), 1 + x], x the option; an option of 0 leaves its part out. The three are
// applied in an order of their own for each sample. Hue is not here: no recipe of ours has it.
//
// Draws:  Philox, key (seed, color_jitter), counter (element, view, sample, epoch); element 0 the order, 1 to 3 the
//         factors of brightness, contrast and saturation.
#pragma once

#include "mae/draws.h"
#include "mae/image.h"

namespace mae {

struct ColorJitter {
  double brightness = 0, contrast = 0, saturation = 0;

  bool on() const { return brightness != 0 || contrast != 0 || saturation != 0; }
  bool operator==(const ColorJitter&) const = default;
};

/// A u8 image of 1 or 3 channels, where it lies.
void color_jitter(const Editable& image, const ColorJitter& options, const DrawOf& draw);

}  // namespace mae
