// Classifiers in files: what mae/classifier.h declares of checkpoints.
#include <fmt/format.h>

#include "engine/json.h"
#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/classifier.h"
#include "mae/model_file.h"

namespace mae {
namespace {

constexpr const char *classes_key = "classifier.classes", *pooling_key = "classifier.pooling",
                     *head_key = "classifier.head", *task_key = "classifier.task", *share_key = "classifier.eval_share";

/// One of two names.
bool is_first(const engine::Checkpoint& checkpoint, const std::string& path, const char* key, const char* first,
              const char* second) {
  const auto found = checkpoint.metadata.find(key);
  if (found != checkpoint.metadata.end() && found->second == first) return true;
  if (found != checkpoint.metadata.end() && found->second == second) return false;
  throw kernels::Error(std::string("the metadata key ") + key + " must be \"" + first + "\" or \"" + second + "\"",
                       path);
}

}  // namespace

engine::Text classifier_metadata(const ClassifierConfig& c) {
  engine::Text metadata = config_metadata(c.encoder);
  metadata[classes_key] = to_text(engine::Json(c.classes));
  metadata[pooling_key] = c.pooling == Pooling::mean ? "mean" : "cls";
  metadata[head_key] = c.head == Head::linear ? "linear" : "probe";
  metadata[task_key] = c.task == Task::single ? "single" : "multi";
  metadata[share_key] = fmt::format("{}", c.eval_share);
  return metadata;
}

bool is_classifier(const engine::Checkpoint& checkpoint) { return checkpoint.metadata.contains(classes_key); }

ClassifierConfig classifier_config_of(const engine::Checkpoint& checkpoint, const std::string& path) {
  if (!is_classifier(checkpoint))
    throw kernels::Error("this checkpoint has no classifier, only an encoder", path,
                         "`mae finetune --checkpoint` on it first, or `mae probe` and `mae knn`");
  ClassifierConfig c{.encoder = config_of(checkpoint, path), .classes = {}};
  const engine::Json names = engine::parse_json(checkpoint.metadata.at(classes_key), path);
  for (const engine::Json& name : names.as_array()) c.classes.push_back(name.as_string());
  c.pooling = is_first(checkpoint, path, pooling_key, "mean", "cls") ? Pooling::mean : Pooling::cls;
  c.head = is_first(checkpoint, path, head_key, "linear", "probe") ? Head::linear : Head::probe;
  c.task = is_first(checkpoint, path, task_key, "single", "multi") ? Task::single : Task::multi;
  const auto share = checkpoint.metadata.find(share_key);
  const auto number = share == checkpoint.metadata.end() ? std::nullopt : engine::parse_number<double>(share->second);
  if (!number) throw kernels::Error(std::string("the metadata key ") + share_key + " must be a number", path);
  c.eval_share = *number;
  return c;
}

std::unique_ptr<engine::Parameters> average_like(kernels::Stream& stream, const engine::Parameters& parameters) {
  auto average = std::make_unique<engine::Parameters>(parameters.master_dtype());
  for (const engine::Segment& s : parameters.segments()) average->add("ema." + s.name, s.shape, engine::Trainable::no);
  average->reserve(stream, engine::Purpose::inference);
  return average;
}

LoadReport load_encoder(const std::string& path, kernels::Stream& stream, Classifier& classifier) {
  const Weights weights(path);
  const Config& ours = classifier.config().encoder;
  const LoadPlan plan(weights, classifier.parameters(), ours,
                      {.optional = is_classifier_key, .left_out = is_classifier_key});
  plan.load(stream, classifier.parameters());
  return plan.report();
}

std::unique_ptr<Classifier> load_classifier(kernels::Stream& stream, const std::string& path, kernels::DType compute) {
  const Weights weights(path);
  const ClassifierConfig config = classifier_config_of(weights.checkpoint(), path);
  require_known(config.encoder, path);
  auto classifier = std::make_unique<Classifier>(config, compute);
  const LoadPlan plan(weights, classifier->parameters(), config.encoder);
  std::vector<LoadPlan> states;
  for (engine::Parameters* state : classifier->states()) states.emplace_back(weights, *state, config.encoder);
  classifier->initialize(stream, 0, HeadInit::tuned, engine::Purpose::inference);
  plan.load(stream, classifier->parameters());
  for (std::size_t i = 0; i < states.size(); ++i) states[i].load(stream, *classifier->states()[i]);
  if (weights.file().find("ema.cls_token")) {
    const auto average = average_like(stream, classifier->parameters());
    load_checkpoint(path, stream, *average, engine::Content::weights);
    classifier->parameters().swap_values(stream, *average);
  }
  return classifier;
}

}  // namespace mae
