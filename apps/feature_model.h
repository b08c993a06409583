// What makes the features of images for `mae probe`, `mae knn` and `mae embed`, and the maps of `mae attention`: a
// pretrained encoder, or a classifier without its head.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mae/features.h"

namespace apps {

class OptionTable;

/// --features, and what it says: auto, mean or cls.
void add_features_option(OptionTable& table, std::string& features);

/// Which tokens --features means for a checkpoint: a classifier's own, of a pretrained encoder the mean. Throws
/// kernels::Error where a classifier's are asked for and its head sees others.
mae::Pooling pooling_of(const std::string& features, const engine::Checkpoint& checkpoint, const std::string& path);
/// "mean" or "cls".
std::string name_of(mae::Pooling pooling);

class FeatureModel {
 public:
  /// With the weights of a checkpoint, for inference in f32. `pooling`: pooling_of.
  FeatureModel(kernels::Stream& stream, const std::string& checkpoint, mae::Pooling pooling);
  /// With initial values.
  FeatureModel(kernels::Stream& stream, const mae::Config& config, std::uint32_t seed, mae::Pooling pooling);

  mae::Features of(const mae::Dataset& data, const std::function<void(std::int64_t)>& progress) const;
  bool is_classifier() const { return classifier_ != nullptr; }
  const mae::Config& config() const { return classifier_ ? classifier_->config().encoder : model_->config(); }
  const mae::Encoder& encoder() const { return classifier_ ? classifier_->encoder() : model_->encoder(); }

 private:
  kernels::Stream& stream_;
  mae::Pooling pooling_;
  std::unique_ptr<mae::Model> model_;  // one of the two
  std::unique_ptr<mae::Classifier> classifier_;
};

}  // namespace apps
