// A pretraining run in a folder of its own: what `mae pretrain` does once its options are read.
//
//     RUN/config.toml      every option, and what it ran on (written by the caller)
//     RUN/log.jsonl        a line a step: the same bytes for the same run, however often it was interrupted
//     RUN/timing.jsonl     a line a step: seconds, and how many of them it waited for images
//     RUN/events.jsonl     start, resume, epochs, checkpoints, damaged images, stops; with the wall clock
//     RUN/checkpoints/     the last few
//     RUN/pictures/        learning.png, loss.png and what they are drawn from
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/step_queue.h"
#include "apps/stop_request.h"
#include "engine/checkpoint_folder.h"
#include "mae/dataset.h"
#include "mae/pretraining.h"

namespace apps {

enum class Resume { never, automatic };  // automatic: go on where there is a checkpoint, start where there is none
enum class OnNonFinite { stop, rollback };

struct RunOptions {
  std::string folder;
  Resume resume = Resume::never;
  mae::Config config;
  mae::Recipe recipe;
  kernels::DType compute = kernels::DType::f32;
  mae::CropRange crop{};
  bool augment = true;        // random resized crop and flip; false: none
  int workers = 1;            // loader threads
  double max_damaged = 0.01;  // share of the images that may be unreadable
  int keep_checkpoints = 2;
  double save_every_epochs = 1;   // 0: by save_every_seconds. The last step is always saved
  double save_every_seconds = 0;  // 0: by epochs
  std::int64_t pictures = 8;      // validation images in learning.png; 0: no pictures
  std::vector<int> bands{0};      // channels, from 0, that pictures show: one or three
  std::int64_t validation_images = 1000;
  double picture_after_seconds = 60;  // the first picture after the one of the untrained model comes no later
  std::int64_t profile_steps = 0;     // after the first two: run launch by launch, and timed
  std::int64_t stop_after_steps = 0;  // 0: run to the end. A later run with `automatic` goes on
  OnNonFinite on_nonfinite = OnNonFinite::stop;
  engine::Replay replay = engine::Replay::yes;
  mae::Execution execution;
  LookAhead look_ahead = LookAhead::no;  // yes on a GPU, which works on its own
};

/// stopped: after stop_after_steps; interrupted: by a signal or --max-time, with every step that was made saved.
enum class RunEnd { finished, stopped, interrupted, not_finite };

/// Refuses options that no run can have, and data that does not suit them, before anything is written.
void check_run_options(const RunOptions& options, const mae::Dataset& training, const mae::Dataset& validation);

/// Refuses a folder that holds a run unless it may be resumed; a run of another model, data set, seed or
/// batch is refused by name: each step of it would mean something else. Returns where the run goes on; nothing: it
/// starts.
std::optional<engine::FoundCheckpoint> check_run_folder(const RunOptions& options, std::uint64_t fingerprint);

/// validation.size 0: pictures are of training images, and there is no validation loss. `from`: of check_run_folder.
/// A signal ends the run between two steps; --max-time, too, but not before this start has made a step.
RunEnd run_pretraining(kernels::Stream& stream, const RunOptions& options, const mae::Dataset& training,
                       const mae::Dataset& validation, const std::optional<engine::FoundCheckpoint>& from,
                       const StopRequest& stop);

}  // namespace apps
