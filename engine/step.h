// TrainStep: one optimizer step of a model, planned before it runs.
//
// A program is the forward pass of one micro-batch: it leaves its share of the loss in a place that it is given.
// TrainStep runs it on a tape, walks the tape back, and after the last micro-batch of a batch updates the whole model:
// squared gradient norm, guard (finite, clip), one AdamW, advance. Everything that changes from step to step (step
// counter, row of the schedule, clip factor, finite flag, losses) is in device memory and the host only reads it, so a
// step can be captured and replayed. A step whose loss or gradient norm is not finite changes nothing.
#pragma once

#include <functional>
#include <vector>

#include "engine/parameters.h"
#include "engine/workspace.h"

namespace engine {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.05;
  double max_norm = 0;  // clip the global gradient norm; 0: never
};

/// Where a micro-batch leaves its share of the loss: (1), overwritten by the first, added to by the others.
struct LossSlot {
  View loss;  // (1)   f32; f64 in f64 training
  kernels::Write mode;
};
using Program = std::function<void(Context&, const LossSlot&)>;

struct StepResult {
  bool finite = true;
  double loss = 0, gradient_norm = 0, lr = 0;
};

/// What an update reads and writes beside the parameters. Views of no memory serve a dry run.
struct UpdateState {
  View loss, squared_norm, clip;        // (1) each   f32; f64 in f64 training
  View finite, step;                    // (1) i32, (1) u32
  View losses;                          // (ring) of the last steps   type of loss
  View schedule;                        // (steps, 3) f64: lr, 1 - beta1^t, 1 - beta2^t
  View bounds, lr_scale, weight_decay;  // (segments + 1) u32, (segments) f64, (segments) f64
};
inline constexpr std::int64_t kept_losses = 1024;  // length of the ring

/// The launches of an update, gradients being complete: norm, guard, AdamW, advance.
void launch_update(kernels::Stream& stream, const Parameters& parameters, const AdamWOptions& options,
                   const UpdateState& state);

class TrainStep {
 public:
  /// `lr`: one learning rate for each step of the run. Includes its program in the workspace, which is reserved
  /// afterwards.
  TrainStep(Workspace& workspace, Parameters& parameters, const AdamWOptions& options, const std::vector<double>& lr,
            Program program);

  /// Forward and backward of the micro-batch that lies in the input slot. `check`, where given, sees every output and
  /// gradient, and afterwards the gradient of every parameter.
  void micro_batch(bool first, FiniteCheck* check = nullptr);
  /// The update. Reads the loss back.
  StepResult update();

  std::int64_t step() const;
  void set_step(std::int64_t step);  // for a resume, and to leave a step out: its update is then not made

 private:
  void upload_tables(const std::vector<double>& lr);
  template <class T>
  T read(const View& scalar) const;

  Workspace& workspace_;
  kernels::Stream& stream_;
  Parameters& parameters_;
  AdamWOptions options_;
  Program program_;
  std::vector<double> lr_;
  Buffer scalars_, schedule_, bounds_, lr_scale_, weight_decay_, losses_;
  UpdateState state_;  // views of these buffers
};

}  // namespace engine
