// A pretraining run in a folder of its own: what `mae pretrain` does once its options are read.
//
//     RUN/config.toml          every option, and what it ran on                       (written by the caller)
//     RUN/log.jsonl            a line a step: step, epoch, loss, lr, gradient norm; the same bytes for the same run,
//     however often it
//                              was interrupted
//     RUN/events.jsonl         start, resume, epochs and checkpoints, with the wall clock
//     RUN/checkpoints/         the last few, and RUN/pictures/*.png: learning.png, loss.png and what they are drawn
//     from
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "mae/dataset.h"
#include "mae/pretraining.h"

namespace apps {

enum class Resume {
  never,
  automatic
};  // never: an existing run is refused; automatic: continued if it has a checkpoint

struct RunOptions {
  std::string folder;
  Resume resume = Resume::never;
  mae::Config config;
  mae::Recipe recipe;
  kernels::DType compute = kernels::DType::f32;
  mae::CropRange crop{};
  bool augment = true;  // random resized crop and flip; false: none
  int workers = 1;      // loader threads
  int keep_checkpoints = 2;
  double save_every_epochs = 1;  // the last step is always saved
  std::int64_t pictures = 8;     // validation images in learning.png; 0: no pictures
  std::int64_t validation_images = 1000;
  double picture_after_seconds = 60;  // the first picture after the one of the untrained model comes no later
  std::int64_t stop_after_steps = 0;  // 0: run to the end. A later run with `automatic` goes on
};

enum class RunEnd { finished, stopped, not_finite };

/// Refuses a folder that holds a run unless it may be resumed; a run of another model, data set, seed or batch is
/// refused by name, before anything of it is written.
void check_run_folder(const RunOptions& options, std::uint64_t fingerprint);

/// validation.size 0: pictures are of training images, and there is no validation loss.
RunEnd run_pretraining(kernels::Stream& stream, const RunOptions& options, const mae::Dataset& training,
                       const mae::Dataset& validation);

}  // namespace apps
