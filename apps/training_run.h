// A training run in a folder of its own, whatever it trains: `mae pretrain` and `mae finetune` give it a job.
//
//     RUN/config.toml        every option, and what it ran on (written by the command)
//     RUN/log.jsonl          a line a step: the same bytes for the same run, however often it was interrupted
//     RUN/evaluations.jsonl  a line an evaluation: the same promise
//     RUN/log.txt            a line an epoch, with the official code's keys: the same promise
//     RUN/timing.jsonl       a line a step: seconds, and how many of them it waited for images
//     RUN/events.jsonl       start, resume, epochs, checkpoints, damaged images, stops; with the wall clock
//     RUN/checkpoints/       the last few
//     RUN/pictures/          what the job draws
//     RUN/tensorboard/       the same for TensorBoard, where it is asked for
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "apps/run_record.h"
#include "apps/step_queue.h"
#include "apps/stop_request.h"
#include "engine/checkpoint_folder.h"
#include "mae/execution.h"
#include "mae/loader.h"
#include "mae/training.h"

namespace apps {

enum class Resume { never, automatic };  // automatic: go on where there is a checkpoint, start where there is none
enum class OnNonFinite { stop, rollback };

struct RunOptions {
  std::string folder;
  Resume resume = Resume::never;
  int keep_checkpoints = 2;
  double save_every_epochs = 1;       // 0: by save_every_seconds. The last step is always saved
  double save_every_seconds = 0;      // 0: by epochs
  double picture_after_seconds = 60;  // the first picture after the one of the untrained model comes no later
  std::int64_t profile_steps = 0;     // after the first two: run launch by launch, and timed
  std::int64_t stop_after_steps = 0;  // 0: run to the end. A later run with `automatic` goes on
  OnNonFinite on_nonfinite = OnNonFinite::stop;
  bool tensorboard = false;
  LookAhead look_ahead = LookAhead::no;  // yes on a GPU, which works on its own
};

/// How images are read.
struct LoadingOptions {
  int workers = 1;            // loader threads
  double max_damaged = 0.01;  // share of the images that may be unreadable
};

/// What every training run is told, whatever it trains.
struct RunSetup {
  RunOptions run;
  LoadingOptions loading;
  mae::Recipe recipe;
  kernels::DType compute = kernels::DType::f32;
  engine::Replay replay = engine::Replay::yes;
  mae::Execution execution;
};

/// Where a run stands: steps done, epochs, and how many of them are complete.
struct Position {
  std::int64_t done = 0;
  double epoch = 0;
  std::int64_t whole_epochs = 0;
};

/// What is trained, and what is done beside training.
struct Job {
  mae::Training& training;
  mae::Loader& loader;
  RunKind kind;
  std::string description;    // of the model, for the first line
  engine::Json at_start;      // added to the event that a run starts or goes on with; an object
  std::uint64_t fingerprint;  // of the data
  engine::States states{};    // that its checkpoints hold beside the parameters
  engine::Text settings{};    // options that no resume can change, beside what every run has: key -> value
  std::function<void(const std::string& path, const engine::Text& run)> save;
  std::function<void(const std::string& path)> load;
  /// After an epoch and after the last step: adds what it finds to the line, and returns it for people. Null: nothing.
  std::function<std::string(const Position&, engine::Json& line)> evaluate{};
  /// After the first step, after an epoch and at the end.
  std::function<void(const Position&, const RunRecord&)> draw{};
};

/// stopped: after stop_after_steps; interrupted: by a signal or --max-time, with every step that was made saved.
enum class RunEnd { finished, stopped, interrupted, not_finite };

/// Refuses options that no run can have before anything is written.
void check_run_options(const RunOptions& options);
/// Refuses data that do not go with the options or with each other. validation.size 0: there are none.
void check_loading(const LoadingOptions& options, const std::string& folder, const mae::Dataset& training,
                   const mae::Dataset& validation);
/// Refuses a recipe that the training images do not suffice for.
void check_recipe(const mae::Recipe& recipe, const mae::Dataset& training);

mae::LoaderOptions loader_options(const RunSetup& setup, const mae::Config& model,
                                  const mae::Augmentation& augmentation);
mae::TrainingOptions training_options(const RunSetup& setup, const mae::Loader& loader);

/// What each step of a run depends on, beside its recipe.
struct RunIdentity {
  std::uint64_t fingerprint = 0;  // of the data
  engine::Text settings{};        // as Job has them
  std::function<bool(const engine::Checkpoint&, const std::string& path)> same_model;
};
/// Refuses a folder that holds a run unless it may be resumed; a run of another model, data set, or of other settings
/// is refused by name. Returns where the run goes on; nothing: it starts.
std::optional<engine::FoundCheckpoint> check_run_folder(const RunSetup& setup, const RunIdentity& identity);
/// What of a recipe no resume can change, as checkpoints have it: option -> value.
engine::Text settings_of(const mae::Recipe& recipe);

/// `from`: of check_run_folder. A signal ends the run between two steps; --max-time, too, but not before this start has
/// made a step.
RunEnd run_training(kernels::Stream& stream, const RunOptions& options, const Job& job,
                    const std::optional<engine::FoundCheckpoint>& from, const StopRequest& stop);

/// A photograph that cannot be read, as people are told.
kernels::Error unreadable(const mae::Damaged& damaged);

}  // namespace apps
