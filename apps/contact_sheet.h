// Samples as the model will see them: each fitted, as in evaluation, then cropped and flipped as in the first epochs of
// a run.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/canvas.h"
#include "mae/augment.h"
#include "mae/dataset.h"

namespace apps {

struct SheetOptions {
  int height = 0, width = 0;  // of what the model sees
  bool augment = true;        // false: fitted images alone, as the model then sees them
  mae::CropRange crop{};
  std::uint32_t seed = 0;
  std::vector<int> bands{0};  // channels, from 0: one or three
  double value_range = 255;   // shown white
  std::int64_t samples = 8;   // evenly spread over the data set
  std::uint32_t epochs = 6;
};

/// Samples that cannot be read are replaced as in training.
Canvas contact_sheet(const mae::Dataset& data, const SheetOptions& options);

}  // namespace apps
