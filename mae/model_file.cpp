#include "mae/model_file.h"

#include "kernels/core/check.h"
#include "mae/classifier.h"
#include "mae/config_text.h"

namespace mae {
namespace {

constexpr std::string_view prefix = "config.";

}  // namespace

engine::Text config_metadata(const Config& config) {
  engine::Text metadata;
  for (const auto& [key, value] : to_text(config)) metadata[std::string(prefix) + key] = value;
  return metadata;
}

Config config_of(const engine::Checkpoint& checkpoint, const std::string& path) {
  std::map<std::string, std::string> text;
  for (const auto& [key, value] : checkpoint.metadata) {
    if (key.starts_with(prefix)) text[key.substr(prefix.size())] = value;
  }
  return config_from_text(text, path);
}

engine::Checkpoint model_metadata(const std::string& path) {
  const Weights weights(path);
  require_known(config_of(weights.checkpoint(), path), path);
  return weights.checkpoint();
}

std::unique_ptr<Model> load_model(kernels::Stream& stream, const Weights& weights, const Config& config,
                                  kernels::DType compute, const LoadOptions& options) {
  if (is_classifier(weights.checkpoint()))
    throw kernels::Error(
        "this is a classifier, and a pretrained model is wanted", weights.path(),
        "the checkpoint of `mae pretrain`; a classifier is for `mae eval`, `embed`, `knn` and `probe`");
  require_known(config, weights.path());
  auto model = std::make_unique<Model>(config, compute);
  const LoadPlan plan(weights, model->parameters(), config, options);
  model->parameters().reserve(stream, engine::Purpose::inference);
  plan.load(stream, model->parameters());
  return model;
}

std::unique_ptr<Model> load_model(kernels::Stream& stream, const std::string& path, kernels::DType compute) {
  const Weights weights(path);
  return load_model(stream, weights, config_of(weights.checkpoint(), path), compute);
}

}  // namespace mae
