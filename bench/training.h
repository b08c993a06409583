// A training step to be timed: a model, its recipe, and what it is fed with.
#pragma once

#include <optional>
#include <vector>

#include "apps/step_queue.h"
#include "mae/pretraining.h"

namespace bench {

/// Where the images of a step come from.
enum class Input {
  ready,     // random u8 images that lie in the host's memory, copied to the device for each step
  loader,    // a data set, by the loader and the queue of `mae pretrain`: epoch after epoch, each in its own order
  resident,  // random u8 images that lie on the device: nothing is copied
};

struct StepOptions {
  mae::Config config;
  mae::Execution execution{};
  std::int64_t batch = 8, micro_batch = 0;  // 0: the batch
  kernels::DType compute = kernels::DType::f32;
  engine::Replay replay = engine::Replay::yes;
  Input input = Input::ready;
  mae::Dataset data{};          // for Input::loader; its channels are the model's
  mae::LoaderOptions loader{};  // the same: workers, augmentation. Batch and sizes are those of the step
};

class Training {
 public:
  /// Plans, allocates, draws initial values and has images. Throws kernels::Error where memory is too small, and what
  /// the loader throws.
  Training(kernels::Stream& stream, const StepOptions& options);

  /// Seconds of each of `count` steps, from the end of the one before to its own end, waiting for images included: on a
  /// GPU the next step is queued while one runs, as in training.
  std::vector<double> run(int count);
  /// One step while `profile` listens; its images are copied, whatever the input.
  void run(engine::Profile& profile);

  double loss() const { return loss_; }  // of the last step
  std::int64_t parameters() { return pretraining_.model().parameters().count(); }
  double peak_bytes() { return pretraining_.training().memory().total(); }
  /// Seconds that the host has waited for the loader so far, and of these before the first step; 0 without a loader.
  double wait_seconds() const { return loader_ ? loader_->wait_seconds() : 0; }
  double first_batch_seconds() const { return first_batch_seconds_; }

 private:
  void start();
  void one_step(bool another_follows);
  void finished(const engine::StepResult& result);

  std::vector<mae::Batch> batches_;  // used in turn; none with a loader
  std::optional<mae::Loader> loader_;
  mae::Pretraining pretraining_;
  std::optional<apps::StepQueue> queue_;  // with a loader
  Input input_;
  bool ahead_;  // a step is queued before the one before it has ended
  std::size_t next_ = 0;
  double first_batch_seconds_ = 0, loss_ = 0;
};

}  // namespace bench
