// The run of `mae finetune` and of `mae probe --protocol official`: a training run whose job is a classifier.
//
//     RUN/evaluations.jsonl     accuracy on the validation images, an evaluation a line
//     RUN/best.safetensors      the weights of the best of them; the last are in RUN/checkpoints
//     RUN/pictures/             loss.png, accuracy.png
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "apps/training_run.h"
#include "mae/finetuning.h"

namespace apps {

struct FinetuningRun : RunSetup {
  mae::FinetuningOptions tuning;
  std::string start = "from scratch";  // what the run began with, for people
  mae::Augmentation augmentation;
  std::int64_t evaluate_every = 1;                // epochs; the last step is always evaluated
  std::vector<std::int8_t> validation_targets{};  // of Task::multi, as FinetuningOptions::targets
};

/// Refuses options that no run can have, and data that do not suit them, before anything is written. validation.size 0:
/// there are none, and nothing is evaluated.
void check_options(const FinetuningRun& options, const mae::Dataset& training, const mae::Dataset& validation);

/// What no resume can change beside data, model and recipe: key of the option -> value.
engine::Text settings_of(const FinetuningRun& options);
/// As check_run_folder.
std::optional<engine::FoundCheckpoint> check_run_folder(const FinetuningRun& options, std::uint64_t fingerprint);

/// `write_config` is called once everything has been read and planned, before the folder is written to; not for a run
/// that is finished already.
RunEnd run_finetuning(kernels::Stream& stream, const FinetuningRun& options, const mae::Dataset& training,
                      const mae::Dataset& validation, const std::optional<engine::FoundCheckpoint>& from,
                      const StopRequest& stop, const std::function<void()>& write_config);

}  // namespace apps
