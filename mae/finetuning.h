// Fine-tuning: a classifier trained on labelled images, end to end, in part, or its head alone (the linear probe).
//
// What a step needs of each sample beside its pixels is drawn on the host, as a function of seed, sample and epoch (of
// seed, step and group for mixing), and travels in the input slot: labels, mixing, boxes, and which branches are
// dropped. So a step depends neither on workers nor on micro-batches; but for the batch norm of a probe, whose
// statistics are a micro-batch's, as in the official run a GPU's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mae/classifier.h"
#include "mae/evaluator.h"
#include "mae/mixing.h"
#include "mae/training.h"

namespace mae {

/// Defaults are the official fine-tuning of ViT-B (notes 1.3), but for the recipe, which TrainingOptions has.
struct FinetuningOptions {
  ClassifierConfig classifier;
  Tuned tuned{};
  HeadInit init = HeadInit::tuned;
  std::string from;           // checkpoint whose encoder it begins with; empty: initial values
  double layer_decay = 0.65;  // 1: none
  double drop_path = 0.1;
  double smoothing = 0.1;  // of labels
  MixOptions mix{};
  std::int64_t mix_group = 32;  // samples that share a lambda, even: what a GPU of the official run held at once
  EraseOptions erase{};
  double ema = 0;                    // decay of an average of the weights, which evaluation then takes; 0: none
  std::vector<double> class_weight;  // of the loss, one a class; empty: all 1
  // Task::multi: 1, 0 or -1 (missing) for every sample of the training images and each class: (N, K)
  std::vector<std::int8_t> targets;
};

/// Throws kernels::Error naming the flag that cannot be.
void validate(const FinetuningOptions& options, const Recipe& recipe);

class Finetuning {
 public:
  /// Plans, allocates, draws initial values and loads the encoder. `pixels` of the options are those of evaluation too.
  Finetuning(kernels::Stream& stream, const FinetuningOptions& options, const TrainingOptions& training,
             const Execution& execution = {});

  Training& training() { return training_; }
  Classifier& classifier() { return classifier_; }
  /// What became of the tensors of the file that it begins with ; empty where there is none.
  const LoadReport& loaded() const { return loaded_; }

  /// With the average of the weights, where there is one.
  Scores evaluate(const Dataset& data, const std::function<void(std::int64_t)>& progress = {});

  /// What its checkpoints hold beside parameters: running statistics, the average of the weights.
  engine::States states();
  void save(const std::string& path, const engine::Text& run, engine::Content content);
  /// Weights, moments, averages, step, and what rows chose by timing. Throws kernels::Error when the file's model is
  /// another one.
  void load(const std::string& path);

 private:
  void forward(Context& c, const MicroBatch& m, const engine::LossSlot& loss) const;
  void after_update(kernels::Stream& stream, const engine::UpdateState& state);
  Images seen(Context& c, const MicroBatch& m, Tensor& mixed) const;
  bool mixes() const { return options_.mix.on() || options_.erase.probability > 0; }
  bool drops() const { return options_.drop_path > 0; }

  kernels::Stream& stream_;
  FinetuningOptions options_;
  Classifier classifier_;
  std::unique_ptr<engine::Parameters> average_;
  std::int64_t micro_;
  EveryPatch every_;
  engine::Buffer class_weight_, ones_, zeros_;
  LoadReport loaded_;
  Training training_;
  Evaluator evaluator_;
};

}  // namespace mae
