// Pretraining: the Masked Autoencoder trained to predict what is masked.
#pragma once

#include <cstdint>
#include <string>

#include "mae/model.h"
#include "mae/training.h"

namespace mae {

class Pretraining {
 public:
  /// Plans, allocates and draws initial values.
  Pretraining(kernels::Stream& stream, const Config& config, const TrainingOptions& options,
              const Execution& execution = {});

  Training& training() { return training_; }
  Model& model() { return model_; }

  /// Mean loss over a batch, without a tape; of a size that TrainingOptions::evaluated says, or of whole micro-batches.
  double evaluate(const Batch& batch);

  void save(const std::string& path, const engine::Text& run) const;
  /// Weights, moments, step, and what rows chose by timing. Throws kernels::Error when the file's model is another one.
  void load(const std::string& path);

 private:
  void plan_evaluation(std::int64_t images);
  void forward(Context& c, const MicroBatch& m, const engine::LossSlot& loss) const;

  kernels::Stream& stream_;
  Model model_;
  Training training_;
  engine::Buffer evaluation_loss_;
};

}  // namespace mae
