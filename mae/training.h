// Training: a recipe and its train step, fed with global batches. What is trained, and towards what, is said by an
// objective, which leaves the share of a micro-batch in the loss: pretraining.h and finetuning.h have one each.
//
// `batch` is the global batch of one optimizer step on every machine; `micro_batch` is what the device holds at once,
// and accumulation is derived. Masks, order and updates depend on the global batch alone (a batch norm's statistics are
// the one exception: finetuning.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/schedule.h"
#include "engine/step.h"
#include "mae/input_slots.h"

namespace mae {

/// Defaults are the official recipe of pretraining (notes: blr 1.5e-4, not the 1e-3 of the official flag's default).
struct Recipe {
  std::int64_t batch = 4096;
  std::int64_t micro_batch = 0;  // 0: the whole batch
  double blr = 1.5e-4;           // lr = blr batch / 256
  double min_lr = 0;
  double epochs = 800, warmup_epochs = 40;
  engine::Pace schedule = engine::Pace::step;
  /// An epoch leaves out the samples that fill no whole batch. Without: it is cut into micro-batches, the last of them
  /// short, and batches run on across epochs. Each micro-batch has the same weight.
  bool drop_last = true;
  engine::OptimizerOptions optimizer{};
  std::uint32_t seed = 0;

  double lr() const { return blr * static_cast<double>(batch) / 256; }
  std::int64_t micro() const { return micro_batch > 0 ? micro_batch : batch; }
  std::int64_t part() const { return drop_last ? 0 : micro(); }  // of the loader
};

/// Throws kernels::Error naming the flag that cannot be.
void validate(const Recipe& recipe);

/// What lies in an input slot.
struct MicroBatch {
  Images images;
  View draws;                 // (B, 2)   sample index, epoch
  std::vector<View> columns;  // (B, width) each, as Objective::columns has them
  std::int64_t global_batch;  // samples that its share of the loss is a mean over

  std::int64_t samples() const { return draws.shape[0]; }
};

struct Objective {
  /// Forward pass of a micro-batch; the last op on its tape leaves its share of the loss in the slot.
  std::function<void(Context&, const MicroBatch&, const engine::LossSlot&)> forward;
  /// What it needs of each sample beside pixels and draws; and its values for a batch. Null: nothing.
  std::vector<ColumnShape> columns{};
  std::function<std::vector<Column>(const Batch&)> values{};
  engine::AfterUpdate after_update{};
};

struct TrainingOptions {
  Recipe recipe;
  kernels::DType compute = kernels::DType::f32;
  kernels::DType pixels = kernels::DType::u8;  // of the data set
  engine::StepsPerEpoch steps_per_epoch{};     // of the loader
  std::int64_t short_part = 0;                 // of the loader: planned for beside the recipe's micro-batch
  std::int64_t evaluated = 0;  // images of an evaluation by the loss: their last, short part is planned for too
  engine::Replay replay = engine::Replay::yes;
};

class Training {
 public:
  /// Plans for parameters that have been reserved. Further programs may be included in the workspace before reserve().
  Training(kernels::Stream& stream, engine::Parameters& parameters, const Config& config,
           const TrainingOptions& options, Objective objective);
  void reserve() { workspace_.reserve(); }

  /// One optimizer step on a global batch.
  engine::StepResult step(const Batch& batch);
  /// The same in two: queues a step, and waits for the oldest one that was queued. At most two may be under way; behind
  /// one that is not finite, the next changes nothing.
  void start(const Batch& batch);
  /// start() on images that earlier batches left in the input slots, of which each was filled by a whole micro-batch:
  /// nothing is copied to the device. To measure what the copies cost.
  void start_on_resident();
  engine::StepResult finish() { return step_.finish(); }
  std::int64_t under_way() const { return step_.under_way(); }
  /// One step, launch by launch, while `profile` listens.
  engine::StepResult step(const Batch& batch, engine::Profile& profile);

  /// Forward and backward of a part of a global batch, without the update: gradients of the parts add up to the
  /// batch's.
  void accumulate(const Batch& part, bool first);
  /// Why a step on this batch is not finite: the batch is run again, from the untouched state, and the first op whose
  /// output or gradient is not finite is named. For after a step that was not finite; drops what is under way behind
  /// it, and changes nothing.
  std::string first_not_finite(const Batch& batch);
  /// Goes on to the next step without an update: the batch is left out.
  void skip() { step_.set_step(done() + 1); }
  /// The next step is step `done`, as after a resume.
  void set_done(std::int64_t done) { step_.set_step(done); }

  /// L2 norm of the masters that are trained, biases and all. Waits for what was queued.
  double weight_norm() const;

  std::int64_t done() const { return step_.step(); }
  std::int64_t total() const { return schedule_.steps(); }
  const engine::WarmupCosine& schedule() const { return schedule_; }
  const Recipe& recipe() const { return options_.recipe; }
  const TrainingOptions& options() const { return options_; }
  const engine::Parameters& parameters() const { return parameters_; }
  engine::MemoryPlan memory() const;

  InputSlots& inputs() { return inputs_; }
  engine::Workspace& workspace() { return workspace_; }

 private:
  MicroBatch micro_batch(int slot) const;
  /// The micro-batches to come are one of so many parts that have the same weight, whatever their sizes.
  void set_part(std::int64_t samples, std::int64_t parts) { micro_count_ = samples, share_ = parts * samples; }
  void queue(const Batch& part, engine::PartOfBatch position);
  /// start(part of a micro-batch, slot) for each micro-batch.
  void run(const Batch& part, engine::PartOfBatch position, const std::function<void(engine::PartOfBatch, int)>& start);

  kernels::Stream& stream_;
  engine::Parameters& parameters_;
  TrainingOptions options_;
  Objective objective_;
  engine::WarmupCosine schedule_;
  InputSlots inputs_;
  std::int64_t micro_count_ = 0, share_ = 0;  // samples in the slot; samples that the loss is a mean over
  engine::Workspace workspace_;
  engine::TrainStep step_;
};

/// From now on rows choose what they had chosen when the checkpoint was written (kernels/core/choices.h). Before a
/// Training is made, this spares it the timing.
void adopt_choices(const engine::Checkpoint& checkpoint);
/// What rows have chosen, for the metadata of a checkpoint.
engine::Text choices_metadata();

}  // namespace mae
