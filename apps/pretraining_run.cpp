#include "apps/pretraining_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli.h"
#include "apps/initial_weights.h"
#include "apps/learning_picture.h"
#include "apps/model_options.h"
#include "mae/model_file.h"
#include "mae/reconstruct.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

/// Some images of a data set, evenly spread, as one batch.
mae::Batch fixed_batch(const mae::Dataset& data, std::int64_t count, const mae::Config& config) {
  mae::Batch batch;
  std::vector<mae::Damaged> damaged;
  count = std::min(count, data.size);
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int64_t i = n * data.size / count;
    mae::append(batch, mae::read_or_next(data, i, damaged).image, config.image_height, config.image_width,
                static_cast<std::uint32_t>(i));
  }
  for (const mae::Damaged& d : damaged) warn(unreadable(d));
  return batch;
}

mae::LoadPlan init_plan(const PretrainingOptions& o, const mae::Weights& weights, const mae::Model& model) {
  const auto optional = [&](const std::string& key) { return mae::may_be_missing(weights, key); };
  return {weights,
          model.parameters(),
          o.config,
          {.channels = o.init_channels, .other_channels = true, .optional = optional}};
}

/// Nothing where a run begins with initial values.
mae::LoadReport load_init(kernels::Stream& stream, const PretrainingOptions& o, mae::Model& model) {
  if (o.init.empty()) return {};
  const mae::Weights weights(o.init);
  const mae::LoadPlan plan = init_plan(o, weights, model);
  plan.load(stream, model.parameters());
  return plan.report();
}

std::string description(const mae::Config& c) {
  return fmt::format("image {} x {} x {}, patch {}, encoder {} x {}, decoder {} x {}", c.image_height, c.image_width,
                     c.channels, c.patch, c.dim, c.depth, c.decoder_dim, c.decoder_depth);
}

}  // namespace

void check_init(const PretrainingOptions& o) {
  if (!o.init.empty()) init_plan(o, mae::Weights(o.init), mae::Model(o.config, o.compute));
}

RunEnd run_pretraining(kernels::Stream& stream, const PretrainingOptions& o, const mae::Dataset& training,
                       const mae::Dataset& validation, const std::optional<engine::FoundCheckpoint>& from,
                       const StopRequest& stop) {
  const mae::Augmentation augmentation = o.augment ? mae::Augmentation{.range = o.crop} : mae::no_augmentation;
  mae::Loader loader(training, loader_options(o, o.config, augmentation));
  mae::Batch pictured, validated;
  const mae::Dataset& shown = validation.size > 0 ? validation : training;
  if (o.pictures > 0) pictured = fixed_batch(shown, o.pictures, o.config);
  if (validation.size > 0) validated = fixed_batch(validation, o.validation_images, o.config);
  mae::TrainingOptions options = training_options(o, loader);
  options.evaluated = validated.size();
  mae::Pretraining pretraining(stream, o.config, options, o.execution);
  const std::string pictures = (fs::path(o.run.folder) / "pictures").string();
  LearningPicture learning(pictures, o.recipe.epochs);

  Job job{.training = pretraining.training(),
          .loader = loader,
          .kind = RunKind::pretraining,
          .description = description(o.config),
          .at_start = engine::Json::object({{"execution", execution_json(o.execution)}}),
          .fingerprint = training.fingerprint,
          .save = [&](const std::string& path, const engine::Text& run) { pretraining.save(path, run); },
          .load = [&](const std::string& path) { pretraining.load(path); }};
  if (!from) tell(load_init(stream, o, pretraining.model()), job.at_start, "init");
  if (validation.size > 0) {
    job.evaluate = [&](const Position&, engine::Json& line) {
      const double loss = pretraining.evaluate(validated);
      line.add("validation_loss", loss);
      return fmt::format(", validation loss {:.4f} on {} images", loss, validated.size());
    };
  }
  job.draw = [&](const Position& at, const RunRecord& record) {
    write_loss_picture((fs::path(pictures) / "loss.png").string(), record.log_path(), record.events_path());
    if (o.pictures == 0) return;
    const mae::ModelOutputs outputs =
        model_outputs(stream, pretraining.model(), pictured, shown.dtype, {.seed = o.recipe.seed});
    learning.add(reconstruction(o.config, outputs), at.done, at.epoch, o.bands);
  };
  return run_training(stream, o.run, job, from, stop);
}

}  // namespace apps
