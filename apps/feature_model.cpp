#include "apps/feature_model.h"

#include "apps/initial_weights.h"
#include "apps/options.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace apps {

void add_features_option(OptionTable& t, std::string& features) {
  t.add("features", features,
        "mean of the patch tokens, or the class token, after the encoder's final norm; auto: the mean, or, of a "
        "classifier, what its head sees")
      .one_of({"auto", "mean", "cls"});
}

std::string name_of(mae::Pooling pooling) { return pooling == mae::Pooling::cls ? "cls" : "mean"; }

mae::Pooling pooling_of(const std::string& features, const engine::Checkpoint& checkpoint, const std::string& path) {
  if (!mae::is_classifier(checkpoint)) return features == "cls" ? mae::Pooling::cls : mae::Pooling::mean;
  const mae::Pooling own = mae::classifier_config_of(checkpoint, path).pooling;
  if (features != "auto" && features != name_of(own))
    throw kernels::Error("the head of this classifier sees \"" + name_of(own) + "\", not \"" + features + "\"", path,
                         "--features auto");
  return own;
}

FeatureModel::FeatureModel(kernels::Stream& stream, const std::string& checkpoint, mae::Pooling pooling)
    : stream_(stream), pooling_(pooling) {
  const mae::Weights weights(checkpoint);
  tell(weights);
  if (mae::is_classifier(weights.checkpoint()))
    classifier_ = mae::load_classifier(stream, checkpoint, kernels::DType::f32);
  else
    model_ = mae::load_model(stream, weights, mae::config_of(weights.checkpoint(), checkpoint), kernels::DType::f32,
                             {.optional = mae::is_decoder_key});
}

FeatureModel::FeatureModel(kernels::Stream& stream, const mae::Config& config, std::uint32_t seed, mae::Pooling pooling)
    : stream_(stream), pooling_(pooling), model_(std::make_unique<mae::Model>(config, kernels::DType::f32)) {
  model_->initialize(stream, seed, engine::Purpose::inference);
}

mae::Features FeatureModel::of(const mae::Dataset& data, const std::function<void(std::int64_t)>& progress) const {
  return classifier_ ? mae::encoder_features(stream_, *classifier_, data, progress)
                     : mae::encoder_features(stream_, *model_, data, pooling_, progress);
}

}  // namespace apps
