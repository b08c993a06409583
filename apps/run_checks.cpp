// What is refused before a run writes anything, and what is said of images.
#include <fmt/core.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/finetuning_run.h"
#include "apps/output_file.h"
#include "apps/pretraining_run.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

void require(bool ok, const std::string& where, const std::string& fact, const std::string& advice = {}) {
  if (!ok) throw kernels::Error(fact, where, advice);
}

}  // namespace

void check_run_options(const RunOptions& o) {
  require(o.keep_checkpoints >= 1, "--keep", "at least one checkpoint is kept", "--keep 1");
  require(o.save_every_seconds > 0 || (o.save_every_epochs > 0 && o.save_every_epochs <= 1e9), "--save-every",
          "must be positive, and at most 1e9");
  require(o.profile_steps >= 0, "--profile", "must not be negative", "0 for none");
  require(o.stop_after_steps >= 0, "--stop-after", "must not be negative", "0 to run to the end");
}

void check_recipe(const mae::Recipe& r, const mae::Dataset& training) {
  require(r.batch <= training.size, "--batch",
          fmt::format("a batch of {} from the {} images of {}", r.batch, training.size, training.path),
          "a batch of at most the number of images");
  const double per_epoch = mae::steps_per_epoch(training.size, r.batch, r.part()).value();
  require(r.epochs * per_epoch >= 1, "--epochs", fmt::format("{:g} epochs are not one step", r.epochs),
          fmt::format("--epochs {:.3g} or more", 1 / per_epoch));
  require(r.epochs * per_epoch < 1e9, "--epochs", "a run has fewer than 1e9 steps");
}

void check_crop(const mae::CropRange& crop) {
  require(crop.scale_low > 0 && crop.scale_low <= crop.scale_high && crop.scale_high <= 1, "--crop-min, --crop-max",
          "crops are parts of an image: 0 < crop-min <= crop-max <= 1");
}

void check_loading(const LoadingOptions& o, const std::string& folder, const mae::Dataset& training,
                   const mae::Dataset& validation) {
  require(o.workers >= 0 && o.workers <= 1024, "--workers", "0 to 1024 workers can be started");
  require(o.max_damaged >= 0 && o.max_damaged <= 1, "--max-damaged", "is a share of the images: 0 to 1");
  require(
      !lies_in(folder, training.folder), "--out",
      fmt::format("{} lies in the folder of the images, {}: its pictures would be trained on", folder, training.folder),
      "a folder beside the data");
  require(validation.size == 0 || validation.dtype == training.dtype, validation.path,
          fmt::format("these images are {}, the training images {}", kernels::name_of(validation.dtype),
                      kernels::name_of(training.dtype)),
          "--val-data of the same kind");
}

void check_options(const PretrainingOptions& o, const mae::Dataset& training, const mae::Dataset& validation) {
  check_crop(o.crop);
  require(o.pictures >= 0, "--pictures", "must not be negative", "0 for none");
  require(o.validation_images >= 1, "--validation-images", "at least one image is needed");
  check_run_options(o.run);
  check_loading(o.loading, o.run.folder, training, validation);
  check_recipe(o.recipe, training);
}

void check_options(const FinetuningRun& o, const mae::Dataset& training, const mae::Dataset& validation) {
  require(o.evaluate_every >= 1, "--evaluate-every", "is a number of epochs, at least 1");
  const double share = o.tuning.classifier.eval_share;
  require(share > 0.01 && share <= 1, "--eval-crop", "is a part of the image: above 0.01, at most 1", "0.875, or 1");
  check_crop(o.augmentation.range);
  check_run_options(o.run);
  check_loading(o.loading, o.run.folder, training, validation);
  check_recipe(o.recipe, training);
  const mae::Config& c = o.tuning.classifier.encoder;
  const bool one_alone = !o.recipe.drop_last && training.size % o.recipe.micro() == 1;
  require(o.tuning.classifier.head != mae::Head::probe || !one_alone, "--no-drop-last",
          "the last micro-batch of an epoch has one image, and a batch norm needs two", "another --micro-batch");
  mae::check_augmentation(o.augmentation, training.channels, training.dtype, c.image_height, c.image_width);
}

std::optional<engine::FoundCheckpoint> check_run_folder(const FinetuningRun& o, std::uint64_t fingerprint) {
  return check_run_folder(o, {.fingerprint = fingerprint,
                              .settings = settings_of(o),
                              .same_model = [&](const engine::Checkpoint& checkpoint, const std::string& path) {
                                return mae::classifier_metadata(mae::classifier_config_of(checkpoint, path)) ==
                                       mae::classifier_metadata(o.tuning.classifier);
                              }});
}

std::optional<engine::FoundCheckpoint> check_run_folder(const PretrainingOptions& o, std::uint64_t fingerprint) {
  return check_run_folder(
      o, {.fingerprint = fingerprint, .same_model = [&](const engine::Checkpoint& checkpoint, const std::string& path) {
            return mae::config_metadata(mae::config_of(checkpoint, path)) == mae::config_metadata(o.config);
          }});
}

engine::Text settings_of(const mae::Recipe& r) {
  engine::Text text{{"seed", std::to_string(r.seed)},
                    {"batch", std::to_string(r.batch)},
                    {"drop-last", r.drop_last ? "true" : "false"}};
  if (!r.drop_last) text["micro-batch"] = std::to_string(r.micro());
  return text;
}

std::optional<engine::FoundCheckpoint> check_run_folder(const RunSetup& setup, const RunIdentity& identity) {
  const RunOptions& options = setup.run;
  const fs::path folder = options.folder, checkpoints = folder / "checkpoints";
  const bool logged = fs::exists(folder / "log.jsonl");
  if (!logged && engine::count_checkpoints(checkpoints.string()) == 0) return std::nullopt;
  require(options.resume != Resume::never, options.folder, "there is a run in this folder already",
          "--resume auto to go on with it, or another --out");
  auto newest = engine::newest_whole_checkpoint(checkpoints.string());
  if (!newest) {
    if (logged && fs::file_size(folder / "log.jsonl") > 0) {
      warn(kernels::Error(
          "there are steps in log.jsonl but no checkpoint to go on from: the run starts over beside log.jsonl.old",
          checkpoints.string(), "nothing, unless checkpoints were lost: then stop, and put them and the old log back"));
    }
    return std::nullopt;
  }
  const engine::Checkpoint& checkpoint = newest->checkpoint;
  const auto require_same = [&](const char* key, const std::string& value, const char* what, const char* flag) {
    const auto found = checkpoint.metadata.find(key);
    const std::string was = found != checkpoint.metadata.end()    ? found->second
                            : key == std::string("run.drop-last") ? "true"  // there was no other way once
                                                                  : value;
    require(was == value, options.folder, fmt::format("this run was started {}", what),
            fmt::format("the {} that RUN/config.toml names, or another --out", flag));
  };
  require_same("run.data_fingerprint", fmt::format("{:016x}", identity.fingerprint), "on other data",
               "--data and --orientation");
  require_same("run.master_dtype", std::string(kernels::name_of(kernels::statistics_of(setup.compute))),
               "in another precision", "--dtype");
  engine::Text settings = settings_of(setup.recipe);
  settings.insert(identity.settings.begin(), identity.settings.end());
  for (const auto& [key, value] : settings) {
    const std::string flag = "--" + std::string(key);
    require_same(("run." + key).c_str(), value, ("with another " + flag).c_str(), flag.c_str());
  }
  require(identity.same_model(checkpoint, newest->path), newest->path,
          "the checkpoint's model is not the one configured", "the same --model and sizes as RUN/config.toml says");
  return newest;
}

kernels::Error unreadable(const mae::Damaged& d) {
  return kernels::Error("unreadable image, another stands in for it: " + d.error.fact(), d.error.where(),
                        "repair it; `mae data` lists all of them");
}

}  // namespace apps
