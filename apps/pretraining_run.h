// The run of `mae pretrain`: a training run whose job is a Masked Autoencoder. Its pictures are learning.png, loss.png
// and what they are drawn from.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "apps/training_run.h"
#include "mae/load_weights.h"
#include "mae/pretraining.h"

namespace apps {

struct PretrainingOptions : RunSetup {
  mae::Config config;
  std::string init;  // file of weights to begin with; empty: initial values
  mae::ChannelRule init_channels = mae::ChannelRule::mean;
  mae::CropRange crop{};
  bool augment = true;        // random resized crop and flip; false: none
  std::int64_t pictures = 8;  // validation images in learning.png; 0: no pictures
  std::vector<int> bands{0};  // channels, from 0, that pictures show: one or three
  std::int64_t validation_images = 1000;
};

/// Refuses options that no run can have, and data that does not suit them, before anything is written.
void check_options(const PretrainingOptions& options, const mae::Dataset& training, const mae::Dataset& validation);

/// What --init would give the model, without making it. Throws kernels::Error naming the file where it does not fit.
void check_init(const PretrainingOptions& options);

/// As check_run_folder.
std::optional<engine::FoundCheckpoint> check_run_folder(const PretrainingOptions& options, std::uint64_t fingerprint);

/// validation.size 0: pictures are of training images, and there is no validation loss.
RunEnd run_pretraining(kernels::Stream& stream, const PretrainingOptions& options, const mae::Dataset& training,
                       const mae::Dataset& validation, const std::optional<engine::FoundCheckpoint>& from,
                       const StopRequest& stop);

}  // namespace apps
