// TrainStep: one optimizer step of a model, planned before it runs.
//
// A program is the forward pass of one micro-batch: it leaves its share of the loss in a place that it is given.
// TrainStep runs it on a tape, walks the tape back, and after the last micro-batch of a batch updates the whole model:
// squared gradient norm, guard (finite, clip), one launch of the optimizer, advance. Everything that changes from step
// to step (step counter, row of the schedule, clip factor, finite flag, losses) is in device memory and the host only
// reads it, behind the step and without holding up the next one. A step whose loss or gradient norm is not finite
// changes nothing, nor does what was queued behind it.
//
// So the launches of a step are the same every time. After two eager steps, and one eager micro-batch of its size, each
// kind of micro-batch (first or not, last or not, which input slot, how many samples) is captured as a graph, and
// replayed from then on: docs/memory-and-graphs.md.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "engine/parameters.h"
#include "engine/workspace.h"

namespace engine {

enum class Optimizer { adamw, momentum };

struct OptimizerOptions {
  Optimizer kind = Optimizer::adamw;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;  // of adamw
  double momentum = 0.9;                         // of momentum; its average is kept where adamw has its first moment
  double trust =
      0;  // of momentum: 0 is SGD, above it LARS, for tensors of more than one dimension (kernels/momentum.h)
  double weight_decay = 0.05;
  double max_norm = 0;  // clip the global gradient norm; 0: never
};

/// Where a micro-batch leaves its share of the loss: (1), overwritten by the first, added to by the others.
struct LossSlot {
  View loss;  // (1)   f32; f64 in f64 training
  kernels::Write mode;
};
/// The last argument says which input slot the micro-batch lies in.
using Program = std::function<void(Context&, const LossSlot&, int)>;

/// Where a micro-batch stands in its batch: gradients and loss are overwritten by the first, the update follows the
/// last.
struct PartOfBatch {
  bool first = true, last = true;
  auto operator<=>(const PartOfBatch&) const = default;
};

enum class Replay { yes, no };  // no: every step is queued launch by launch

inline constexpr int steps_under_way = 2;  // at most: one runs while the next is queued

struct StepResult {
  bool finite = true;
  double loss = 0, gradient_norm = 0, lr = 0;
};

/// What an update reads and writes beside the parameters. Views of no memory serve a dry run.
struct UpdateState {
  View loss, squared_norm, clip;  // (1) each   f32; f64 in f64 training
  View finite, step;              // (1) i32, (1) u32
  View losses;                    // (ring) of the last steps   type of loss
  View schedule;                  // (steps, 3) f64: lr, 1 - beta1^t, 1 - beta2^t
  // of the segments from the first to the last that is trained, whose elements count from 0:
  View bounds, lr_scale, weight_decay, trust;  // (segments + 1) u32, (segments) f64 each
};
inline constexpr std::int64_t kept_losses = 1024;  // length of the ring

/// The launches of an update, gradients being complete: norm, guard, optimizer, advance.
void launch_update(kernels::Stream& stream, const Parameters& parameters, const OptimizerOptions& options,
                   const UpdateState& state);

/// What is to follow each update, such as an average of the weights; nothing of it may happen where `finite` is 0.
using AfterUpdate = std::function<void(kernels::Stream&, const UpdateState&)>;

class TrainStep {
 public:
  /// `lr`: one learning rate for each step of the run. Includes its program in the workspace, which is reserved
  /// afterwards.
  TrainStep(Workspace& workspace, Parameters& parameters, const OptimizerOptions& options,
            const std::vector<double>& lr, Program program, Replay replay = Replay::yes, AfterUpdate after_update = {});

  /// Includes its program in the workspace once more, as it is for a micro-batch of another size.
  void plan();

  /// Queues forward and backward of the micro-batch that lies in an input slot and, behind the last of a batch, the
  /// update. `samples`: of the micro-batch; one graph serves one size.
  /// With a profile: launch by launch, while it listens; its ops say where in the model they stand.
  void start(PartOfBatch part, int slot = 0, std::int64_t samples = 0, Profile* profile = nullptr);
  /// Waits for the oldest update that was queued. Throws kernels::Error when there is none.
  StepResult finish();
  std::int64_t under_way() const { return queued_ - finished_; }

  /// start() without the update, while `check` sees every output and gradient, and then the gradient of every
  /// parameter.
  void inspect(PartOfBatch part, int slot, FiniteCheck& check);

  std::int64_t step() const;  // waits for all that is queued
  /// For a resume, and to go on after a step that was not finite: its update is then not made.
  void set_step(std::int64_t step);

 private:
  using Kind = std::tuple<PartOfBatch, int, std::int64_t>;  // of micro-batch: part, slot, samples

  void upload_tables(const std::vector<double>& lr);
  void update(kernels::Stream& stream) const;
  void queue(PartOfBatch part, int slot, Profile* profile = nullptr);
  void forward_backward(Context& context, PartOfBatch part, int slot);
  void send_result();

  Workspace& workspace_;
  kernels::Stream& stream_;
  Parameters& parameters_;
  OptimizerOptions options_;
  Program program_;
  Replay replay_;
  AfterUpdate after_update_;
  std::vector<double> lr_;
  Buffer scalars_, schedule_, bounds_, lr_scale_, weight_decay_, trust_, losses_;
  UpdateState state_;  // views of these buffers
  std::map<Kind, kernels::Graph> graphs_;
  std::set<std::int64_t> seen_;  // sizes of micro-batches that have run launch by launch
  Buffer results_;               // on the host: the scalars behind each of the last steps_under_way updates
  std::array<std::unique_ptr<kernels::Event>, steps_under_way> sent_;
  std::int64_t queued_ = 0, finished_ = 0;  // updates
};

}  // namespace engine
