#include "apps/finetuning_run.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "apps/cli.h"
#include "apps/evaluation.h"
#include "apps/initial_weights.h"
#include "apps/learning_picture.h"
#include "apps/model_options.h"
#include "engine/files.h"

namespace apps {
namespace {

namespace fs = std::filesystem;
using engine::Json;

/// "image 28 x 28 x 1, patch 4, encoder 128 x 4, mean pooling, 10 classes, last 1 of 4 blocks tuned"
std::string description(const mae::FinetuningOptions& o, const std::string& start) {
  const mae::Config& c = o.classifier.encoder;
  std::string tuned = "all tuned";
  if (!o.tuned.everything) tuned = fmt::format("last {} of {} blocks tuned", o.tuned.blocks, c.depth);
  if (!o.tuned.everything && o.tuned.blocks == 0) tuned = o.tuned.half ? "MLP of the last block tuned" : "head alone";
  return fmt::format("image {} x {} x {}, patch {}, encoder {} x {}, {}, {} classes, {}, {}", c.image_height,
                     c.image_width, c.channels, c.patch, c.dim, c.depth,
                     o.classifier.pooling == mae::Pooling::mean ? "mean of patches" : "class token", o.classifier.K(),
                     start, tuned);
}

/// The metadata that says what a run computes in.
std::pair<const std::string, std::string> compute_of(const FinetuningRun& o) {
  return {"compute", std::string(kernels::name_of(o.compute))};
}

/// The evaluations of a run: when they are due, what they find, and whose weights are kept.
class Evaluations {
 public:
  Evaluations(mae::Finetuning& finetuning, const FinetuningRun& options, const mae::Dataset& data)
      : finetuning_(finetuning), o_(options), data_(data) {}

  std::string evaluate(const Position& at, Json& line) {
    const bool last = at.done == finetuning_.training().total();
    if (!last && at.whole_epochs % o_.evaluate_every != 0) return {};
    const mae::Task task = o_.tuning.classifier.task;
    line = summary(apps::evaluate(finetuning_.evaluate(data_), task, o_.validation_targets));
    keep_best(line.at(deciding_number(task)).as_double(), at);
    std::string text;
    for (const Json& number : line.as_object()) text += fmt::format(", {} {:.4g}", number.key, number.as_double());
    return text;
  }

 private:
  void keep_best(double value, const Position& at) {
    if (!best_) best_ = best_before(at.done);
    if (value <= *best_) return;
    best_ = value;
    try {
      finetuning_.save((fs::path(o_.run.folder) / "best.safetensors").string(),
                       {{"epochs", fmt::format("{}", at.epoch)}, compute_of(o_)}, engine::Content::weights);
    } catch (const kernels::Error& error) {  // as for any checkpoint but the last: training goes on
      warn(kernels::Error("the best weights are not kept: " + error.fact(), error.where(), error.advice()));
    }
  }

  /// Of the evaluations that an earlier start of this run has made.
  double best_before(std::int64_t done) const {
    double best = -std::numeric_limits<double>::infinity();
    const std::string path = (fs::path(o_.run.folder) / "evaluations.jsonl").string();
    if (!fs::exists(path)) return best;
    std::istringstream lines(engine::read_file(path));
    for (std::string text; std::getline(lines, text);) {
      const Json line = engine::parse_json(text, path);
      if (line.at("step").as_int() >= done) continue;
      best = std::max(best, line.at(deciding_number(o_.tuning.classifier.task)).as_double());
    }
    return best;
  }

  mae::Finetuning& finetuning_;
  const FinetuningRun& o_;
  const mae::Dataset& data_;
  std::optional<double> best_;  // so far
};

}  // namespace

engine::Text settings_of(const FinetuningRun& o) {
  const mae::FinetuningOptions& f = o.tuning;
  const engine::OptimizerOptions& optimizer = o.recipe.optimizer;
  const auto number = [](double x) { return fmt::format("{}", x); };
  const bool adamw = optimizer.kind == engine::Optimizer::adamw;
  engine::Text text{{"optimizer", adamw                 ? "adamw"
                                  : optimizer.trust > 0 ? "lars"
                                                        : "sgd"},
                    {"blocks", f.tuned.everything ? "all"
                               : f.tuned.half     ? "half"
                                                  : std::to_string(f.tuned.blocks)},
                    {"weight-decay", number(optimizer.weight_decay)},
                    {"layer-decay", number(f.layer_decay)},
                    {"drop-path", number(f.drop_path)},
                    {"smoothing", number(f.smoothing)},
                    {"ema", number(f.ema)},
                    {"erase", number(f.erase.probability)},
                    {"mixup", number(f.mix.mixup)},
                    {"cutmix", number(f.mix.cutmix)},
                    {"mix-probability", number(f.mix.probability)},
                    {"mix-switch", number(f.mix.switch_probability)},
                    {"mix-group", std::to_string(f.mix_group)},
                    {"rand-augment", to_text(o.augmentation.rand)},
                    {"class-weights", fmt::format("{}", fmt::join(f.class_weight, ","))}};
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const std::int8_t answer : f.targets) hash = (hash ^ static_cast<std::uint8_t>(answer)) * 1099511628211u;
  if (!f.targets.empty()) text["targets"] = fmt::format("{:016x}", hash);
  if (f.classifier.head == mae::Head::probe) text["micro-batch"] = std::to_string(o.recipe.micro());
  return text;
}

RunEnd run_finetuning(kernels::Stream& stream, const FinetuningRun& o, const mae::Dataset& training,
                      const mae::Dataset& validation, const std::optional<engine::FoundCheckpoint>& from,
                      const StopRequest& stop, const std::function<void()>& write_config) {
  mae::Loader loader(training, loader_options(o, o.tuning.classifier.encoder, o.augmentation));
  mae::Finetuning finetuning(stream, o.tuning, training_options(o, loader), o.execution);
  const bool finished = from && from->checkpoint.step >= finetuning.training().total();
  if (!finished) write_config();
  const std::string pictures = (fs::path(o.run.folder) / "pictures").string();
  Evaluations evaluations(finetuning, o, validation);
  Job job{.training = finetuning.training(),
          .loader = loader,
          .kind = RunKind::finetuning,
          .description = description(o.tuning, o.start),
          .at_start = Json::object({{"execution", execution_json(o.execution)}}),
          .fingerprint = training.fingerprint,
          .states = finetuning.states(),
          .settings = settings_of(o),
          .save =
              [&](const std::string& path, engine::Text run) {
                run.insert(compute_of(o));
                finetuning.save(path, run, engine::Content::training_state);
              },
          .load = [&](const std::string& path) { finetuning.load(path); }};
  tell(finetuning.loaded(), job.at_start, "encoder");
  if (validation.size > 0)
    job.evaluate = [&](const Position& at, Json& line) { return evaluations.evaluate(at, line); };
  const bool single = o.tuning.classifier.task == mae::Task::single;
  job.draw = [&](const Position&, const RunRecord& record) {
    write_loss_picture((fs::path(pictures) / "loss.png").string(), record.log_path(), record.events_path(),
                       {.title = "Training loss", .y_title = single ? "cross-entropy" : "binary cross-entropy"});
    if (validation.size > 0)
      write_accuracy_picture((fs::path(pictures) / "accuracy.png").string(), record.evaluations_path());
  };
  return run_training(stream, o.run, job, from, stop);
}

}  // namespace apps
