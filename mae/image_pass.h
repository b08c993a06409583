// A network run over a data set, in order: a row of numbers for each image.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/workspace.h"
#include "mae/dataset.h"
#include "mae/encoder.h"
#include "mae/input_slots.h"

namespace mae {

class ImagePass {
 public:
  /// (B, width) of the images of a batch, without a tape; the masking keeps every patch.
  using Network = std::function<Tensor(Context&, const Images&, const Masking&)>;

  /// Includes its program in the workspace, whose reserve() comes after it. `pixels`: dtype of the data sets. `share`:
  /// images are brought to the model's size by it (fit, mae/augment.h).
  ImagePass(engine::Workspace& workspace, const Config& config, kernels::DType pixels, double share, Network network);
  ImagePass(const ImagePass&) = delete;

  /// Calls `take` with the values of a few images at a time, row behind row, and progress(done) after each. Returns the
  /// labels, -1 for none. Throws for an image that cannot be read: what is said of a data set is said of all of it.
  std::vector<std::int32_t> run(const Dataset& data, const std::function<void(std::span<const double>)>& take,
                                const std::function<void(std::int64_t)>& progress = {});

 private:
  Batch read(const Dataset& data, std::int64_t first, std::int64_t count) const;

  engine::Workspace& workspace_;
  Config config_;
  double share_;
  Network network_;
  InputSlots inputs_;
  EveryPatch every_;
};

}  // namespace mae
