// A training step to be timed: a model, its recipe and batches of random images that lie ready in memory.
#pragma once

#include <memory>
#include <vector>

#include "mae/pretraining.h"

namespace bench {

struct StepOptions {
  mae::Config config;
  mae::Execution execution{};
  std::int64_t batch = 8, micro_batch = 0;  // 0: the batch
  kernels::DType compute = kernels::DType::f32;
  engine::Replay replay = engine::Replay::yes;
};

class Training {
 public:
  /// Plans, allocates, draws initial values and images. Throws kernels::Error where memory is too small.
  Training(kernels::Stream& stream, const StepOptions& options);

  /// Seconds of each of `count` steps, from the end of the one before to its own end: on a GPU the next step is queued
  /// while one runs, as in training.
  std::vector<double> run(int count);
  /// One step while `profile` listens.
  void run(engine::Profile& profile) { pretraining_.step(batches_[next_++ % batches_.size()], profile); }

  double loss() const { return loss_; }  // of the last step
  std::int64_t parameters() { return pretraining_.model().parameters().count(); }
  double peak_bytes() const { return pretraining_.memory().total(); }

 private:
  void finish();

  std::vector<mae::Batch> batches_;
  mae::Pretraining pretraining_;
  bool ahead_;  // a step is queued before the one before it has ended
  std::size_t next_ = 0;
  double loss_ = 0;
};

}  // namespace bench
