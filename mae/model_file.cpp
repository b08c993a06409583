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

std::unique_ptr<Model> load_model(kernels::Stream& stream, const std::string& path, kernels::DType compute) {
  const engine::Checkpoint checkpoint = engine::read_checkpoint(path);
  if (is_classifier(checkpoint))
    throw kernels::Error("this is a classifier, and a pretrained model is wanted", path,
                         "the checkpoint of `mae pretrain`; a classifier is for `mae eval`, `embed`, `knn` and `probe`");
  auto model = std::make_unique<Model>(config_of(checkpoint, path), compute);
  engine::check_checkpoint(path, model->parameters(), engine::Content::weights);
  model->parameters().reserve(stream, engine::Purpose::inference);
  load_checkpoint(path, stream, model->parameters(), engine::Content::weights);
  return model;
}

}  // namespace mae
