// The options that every training command has: its recipe, its run, and how they are written down.
#pragma once

#include <limits>
#include <optional>
#include <string>

#include "apps/device_options.h"
#include "apps/options.h"
#include "apps/training_run.h"

namespace apps {

/// Options as they are typed, beside what they mean.
struct RunCommand {
  RunOptions run;
  LoadingOptions loading;
  std::string dtype = "f32", resume = "never", on_nonfinite = "stop", save_every = "1", max_time;
  double max_seconds = std::numeric_limits<double>::infinity();
  bool graph = true;
  DeviceOptions device;
};

void add_loading_options(OptionTable& table, LoadingOptions& loading);
/// A heading, then batch to learning rates, with the defaults that the recipe has.
void add_schedule_options(OptionTable& table, mae::Recipe& recipe);
/// Under the heading Run: out, resume, and what happens while it goes.
void add_run_options(OptionTable& table, RunCommand& command);
/// Device, rows and graphs.
void add_execution_device_options(OptionTable& table, RunCommand& command);

/// What the typed options mean, once they are parsed.
void settle(const RunCommand& command, RunSetup& setup);
/// Of a run that goes on, and whose file of weights is gone, the newest checkpoint: it says what the file said. Nothing
/// where the file is there, or none was named; throws, naming it, where it is gone and there is no such run.
std::optional<engine::FoundCheckpoint> in_place_of(const std::string& weights, const RunCommand& command);

LookAhead look_ahead_on(const kernels::Device& device);

/// "mae pretrain --data ..."
std::string typed(int argc, char** argv);

/// RUN/config.toml: every option, and what the run is on. `rows`: which rows its kernels run, where that is known.
void write_run_config(const OptionTable& table, const RunOptions& run, const kernels::Device& device,
                      const mae::Dataset& data, const std::string& rows, const std::string& command);

/// What the command returns; says what to do about a loss that is not finite.
int exit_code(RunEnd end, const std::string& folder);

}  // namespace apps
