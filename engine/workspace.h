// Workspace: the step arena and the scratch of a run, as large as the largest of its programs (train, evaluate, ...).
//
// Each program is included by a dry run before anything is allocated; after reserve() nothing grows, so the same
// program finds the same addresses every time.
#pragma once

#include <functional>
#include <vector>

#include "engine/parameters.h"
#include "engine/tape.h"

namespace engine {

class Workspace {
 public:
  Workspace(kernels::Stream& stream, DType dtype) : stream_(stream), dtype_(dtype) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Dry-runs `work` and grows the plan to hold it. Only before reserve().
  void include(const std::function<void(Context&)>& work);
  /// Allocates, after rows that choose by timing have done so. Throws kernels::Error when the device has too little
  /// memory.
  void reserve();

  /// To run one of the programs in. Lends the stream this workspace's scratch, so several workspaces can take turns.
  Context context(Tape* tape = nullptr);
  kernels::Stream& stream() { return stream_; }
  DType dtype() const { return dtype_; }  // of the computation
  std::size_t activations() const { return activations_; }  // bytes
  std::size_t scratch() const { return scratch_; }          // bytes

 private:
  void tune();

  kernels::Stream& stream_;
  DType dtype_;
  Arena arena_;
  Buffer scratch_buffer_;
  std::size_t activations_ = 0, scratch_ = 0;
  std::vector<kernels::Tuning> tunings_;
};

/// Bytes by kind, known before anything is allocated.
struct MemoryPlan {
  double parameters = 0;  // masters and the bf16 copy
  double gradients = 0, moments = 0;
  double activations = 0;  // peak of the step arena
  double scratch = 0;
  double inputs = 0;  // the model's input slot, filled in by the model
  double total() const { return parameters + gradients + moments + activations + scratch + inputs; }
};
MemoryPlan plan_memory(const Parameters& parameters, const Workspace& workspace);

}  // namespace engine
