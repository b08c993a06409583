// What is refused before a run writes anything.
#include <fmt/core.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/output_file.h"
#include "apps/training_run.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

void require(bool ok, const std::string& where, const std::string& fact, const std::string& advice = {}) {
  if (!ok) throw kernels::Error(fact, where, advice);
}

}  // namespace

void check_run_options(const RunOptions& o, const mae::Dataset& training, const mae::Dataset& validation) {
  require(o.crop.scale_low > 0 && o.crop.scale_low <= o.crop.scale_high && o.crop.scale_high <= 1,
          "--crop-min, --crop-max", "crops are parts of an image: 0 < crop-min <= crop-max <= 1");
  require(o.workers >= 0 && o.workers <= 1024, "--workers", "0 to 1024 workers can be started");
  require(o.keep_checkpoints >= 1, "--keep", "at least one checkpoint is kept", "--keep 1");
  require(o.save_every_seconds > 0 || (o.save_every_epochs > 0 && o.save_every_epochs <= 1e9), "--save-every",
          "must be positive, and at most 1e9");
  require(o.max_damaged >= 0 && o.max_damaged <= 1, "--max-damaged", "is a share of the images: 0 to 1");
  require(o.pictures >= 0, "--pictures", "must not be negative", "0 for none");
  require(o.validation_images >= 1, "--validation-images", "at least one image is needed");
  require(o.profile_steps >= 0, "--profile", "must not be negative", "0 for none");
  require(o.stop_after_steps >= 0, "--stop-after", "must not be negative", "0 to run to the end");
  require(!lies_in(o.folder, training.folder), "--out",
          fmt::format("{} lies in the folder of the images, {}: its pictures would be trained on", o.folder,
                      training.folder),
          "a folder beside the data");
  require(o.recipe.batch <= training.size, "--batch",
          fmt::format("a batch of {} from the {} images of {}", o.recipe.batch, training.size, training.path),
          "a batch of at most the number of images");
  const auto per_epoch = static_cast<double>(training.size / o.recipe.batch);
  require(o.recipe.epochs * per_epoch >= 1, "--epochs", fmt::format("{:g} epochs are not one step", o.recipe.epochs),
          fmt::format("--epochs {:.3g} or more", 1 / per_epoch));
  require(o.recipe.epochs * per_epoch < 1e9, "--epochs", "a run has fewer than 1e9 steps");
  require(validation.size == 0 || validation.dtype == training.dtype, validation.path,
          fmt::format("these images are {}, the training images {}", kernels::name_of(validation.dtype),
                      kernels::name_of(training.dtype)),
          "--val-data of the same kind");
}

std::optional<engine::FoundCheckpoint> check_run_folder(const RunOptions& options, std::uint64_t fingerprint) {
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
    require(found == checkpoint.metadata.end() || found->second == value, options.folder,
            fmt::format("this run was started {}", what),
            fmt::format("the {} that RUN/config.toml names, or another --out", flag));
  };
  require_same("run.data_fingerprint", fmt::format("{:016x}", fingerprint), "on other data",
               "--data and --orientation");
  require_same("run.master_dtype", std::string(kernels::name_of(kernels::statistics_of(options.compute))),
               "in another precision", "--dtype");
  require_same("run.seed", std::to_string(options.recipe.seed), "with another seed", "--seed");
  require_same("run.batch", std::to_string(options.recipe.batch), "with another batch", "--batch");
  require(mae::config_metadata(mae::config_of(checkpoint, newest->path)) == mae::config_metadata(options.config),
          newest->path, "the checkpoint's model is not the one configured",
          "the same --model and sizes as RUN/config.toml says");
  return newest;
}

}  // namespace apps
