#include "apps/run_options.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "apps/cli.h"
#include "apps/model_options.h"
#include "apps/progress.h"
#include "apps/version.h"
#include "engine/files.h"
#include "engine/number.h"
#include "kernels/core/build.h"
#include "mae/weights.h"

namespace apps {
namespace {

/// A number of epochs, or a time.
std::string set_save_every(RunCommand& o, const std::string& text) {
  const double seconds = parse_duration(text);
  const auto epochs = engine::parse_number<double>(text);
  if (seconds < 0 && !epochs) return fmt::format("\"{}\" is neither a number of epochs nor a time such as 10m", text);
  o.save_every = text;
  o.run.save_every_seconds = epochs ? 0 : seconds;
  o.run.save_every_epochs = epochs.value_or(0);
  return {};
}

std::string set_max_time(RunCommand& o, const std::string& text) {
  const double seconds = parse_duration(text);
  if (!text.empty() && seconds <= 0) return fmt::format("\"{}\" is no time such as 3h50m", text);
  o.max_time = text;
  o.max_seconds = text.empty() ? std::numeric_limits<double>::infinity() : seconds;
  return {};
}

}  // namespace

void add_loading_options(OptionTable& t, LoadingOptions& o) {
  t.add("max_damaged", o.max_damaged, "share of the images that may be unreadable; each is named and replaced");
  t.add("workers", o.workers, "threads that read and crop images; the result does not depend on it");
}

void add_schedule_options(OptionTable& t, mae::Recipe& r) {
  t.group("Training");
  t.add("batch", r.batch, "images of one optimizer step, over all devices");
  t.add("micro_batch", r.micro_batch, "images that a device holds at once; 0: the batch. The rest is accumulated");
  t.add("drop_last", r.drop_last,
        "leave out of an epoch the images that fill no whole batch; with --no-drop-last its last micro-batch is short, "
        "and batches run on across epochs");
  t.add("epochs", r.epochs, "passes over the training images");
  t.add("warmup_epochs", r.warmup_epochs, "epochs of linear warm-up");
  t.add(
       "schedule",
       "step: the learning rate moves at every step, a half cosine behind the warm-up; epoch: once an epoch e, the "
       "lower of (e + 1) / warm-up and a half cosine over the whole run",
       [&r] { return Value(std::string(r.schedule == engine::Pace::step ? "step" : "epoch")); },
       [&r](const Value& value) {
         r.schedule = std::get<std::string>(value) == "step" ? engine::Pace::step : engine::Pace::epoch;
         return std::string();
       })
      .one_of({"step", "epoch"});
  t.add("blr", r.blr, "base learning rate: lr = blr x batch / 256");
  t.add("min_lr", r.min_lr, "learning rate at the end of the half cosine");
}

void add_run_options(OptionTable& t, RunCommand& o) {
  t.group("Run");
  t.add("out", o.run.folder, "folder of this run").shown_as("RUN").must_be_given();
  t.add("resume", o.resume, "auto: go on if RUN has a checkpoint, start otherwise").one_of({"never", "auto"});
  t.add(
       "save_every", "between checkpoints: epochs (1) or a time (10m); the last step is always saved",
       [&o] { return Value(o.save_every); },
       [&o](const Value& value) { return set_save_every(o, std::get<std::string>(value)); })
      .shown_as("TIME")
      .or_number();
  t.add("keep", o.run.keep_checkpoints, "checkpoints kept");
  t.add("tensorboard", o.run.tensorboard, "write for TensorBoard, too, while the run goes: RUN/tensorboard");
  t.add("profile", o.run.profile_steps,
        "time the kernels of this many steps, after the first two: a table, and RUN/trace.json; 0: none");
  t.add("stop_after", o.run.stop_after_steps, "stop, saved, after this many steps; 0: at the end");
  t.add(
       "max_time", "save and end with exit code 75 after this time, such as 3h50m", [&o] { return Value(o.max_time); },
       [&o](const Value& value) { return set_max_time(o, std::get<std::string>(value)); })
      .shown_as("TIME");
  t.add("on_nonfinite", o.on_nonfinite,
        "what to do about a loss or gradient that is not finite: stop, or go on from the last good state without that "
        "batch, and stop at the third in a row")
      .one_of({"stop", "rollback"});
}

void add_execution_device_options(OptionTable& t, RunCommand& o) {
  add_device_options(t, o.device);
  t.add("graph", o.graph, "replay a captured step; with --no-graph every kernel is launched anew");
}

void settle(const RunCommand& o, RunSetup& setup) {
  setup.run = o.run;
  setup.run.resume = o.resume == "auto" ? Resume::automatic : Resume::never;
  setup.run.on_nonfinite = o.on_nonfinite == "rollback" ? OnNonFinite::rollback : OnNonFinite::stop;
  setup.loading = o.loading;
  setup.compute = compute_type(o.dtype);
  setup.replay = o.graph ? engine::Replay::yes : engine::Replay::no;
}

std::optional<engine::FoundCheckpoint> in_place_of(const std::string& weights, const RunCommand& command) {
  if (weights.empty() || std::filesystem::exists(weights)) return std::nullopt;
  auto own =
      command.resume == "auto" ? engine::newest_whole_checkpoint(command.run.folder + "/checkpoints") : std::nullopt;
  if (!own) mae::Weights missing(weights);  // throws
  return own;
}

LookAhead look_ahead_on(const kernels::Device& device) {
  return device.kind == kernels::DeviceKind::cuda ? LookAhead::yes : LookAhead::no;
}

std::string typed(int argc, char** argv) {
  std::string text = "mae";
  for (int i = 0; i < argc; ++i) text += std::string(" ") + argv[i];
  return text;
}

void write_run_config(const OptionTable& table, const RunOptions& run, const kernels::Device& device,
                      const mae::Dataset& data, const std::string& rows, const std::string& command) {
  const std::string text = table.to_toml({{"version", version},
                                          {"commit", commit},
                                          {"compiler", kernels::compiler},
                                          {"device", device.name},
                                          {"threads", std::to_string(device.multiprocessors)},
                                          {"data_format", data.format},
                                          {"data_images", std::to_string(data.size)},
                                          {"data_fingerprint", fmt::format("{:016x}", data.fingerprint)},
                                          {"command", command},
                                          {"rows", rows}});
  engine::write_atomically((std::filesystem::path(run.folder) / "config.toml").string(),
                           [&](engine::FileWriter& file) { file.write(text); });
}

int exit_code(RunEnd end, const std::string& folder) {
  if (end == RunEnd::interrupted) return interrupted;
  if (end != RunEnd::not_finite) return done;
  std::fputs(error_text(kernels::Error("the loss or the gradient is not finite; nothing of that step was kept", folder,
                                       "--resume auto with a smaller --blr, or --clip-grad 1"))
                 .c_str(),
             stderr);
  return not_finite;
}

}  // namespace apps
