#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <set>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/model_options.h"
#include "apps/pixel_keys.h"
#include "apps/pretraining_run.h"
#include "apps/progress.h"
#include "apps/show_channels.h"
#include "apps/step_plan.h"
#include "apps/stop_request.h"
#include "apps/version.h"
#include "engine/files.h"
#include "engine/number.h"
#include "kernels/core/build.h"

namespace apps {
namespace {

struct PretrainCommand {
  PretrainingOptions job;
  DataOptions data;
  DeviceOptions device;
  std::vector<int> show_channels;
  std::string dtype = "f32", resume = "never", on_nonfinite = "stop", save_every = "1", max_time;
  double max_seconds = std::numeric_limits<double>::infinity();
  bool graph = true;
};

/// A number of epochs, or a time.
std::string set_save_every(PretrainCommand& o, const std::string& text) {
  const double seconds = parse_duration(text);
  const auto epochs = engine::parse_number<double>(text);
  if (seconds < 0 && !epochs) return fmt::format("\"{}\" is neither a number of epochs nor a time such as 10m", text);
  o.save_every = text;
  o.job.run.save_every_seconds = epochs ? 0 : seconds;
  o.job.run.save_every_epochs = epochs.value_or(0);
  return {};
}

std::string set_max_time(PretrainCommand& o, const std::string& text) {
  const double seconds = parse_duration(text);
  if (!text.empty() && seconds <= 0) return fmt::format("\"{}\" is no time such as 3h50m", text);
  o.max_time = text;
  o.max_seconds = text.empty() ? std::numeric_limits<double>::infinity() : seconds;
  return {};
}

void add_options(OptionTable& t, PretrainCommand& o) {
  mae::Recipe& r = o.job.recipe;
  add_model_options(t, o.job.config);
  add_data_options(t, o.data);
  add_augment_options(t, o.job.augment, o.job.crop);
  t.add("max_damaged", o.job.loading.max_damaged,
        "share of the images that may be unreadable; each is named and replaced");
  t.add("workers", o.job.loading.workers, "threads that read and crop images; the result does not depend on it");
  t.group("Training");
  t.add("batch", r.batch, "images of one optimizer step, over all devices");
  t.add("micro_batch", r.micro_batch, "images that a device holds at once; 0: the batch. The rest is accumulated");
  t.add("epochs", r.epochs, "passes over the training images");
  t.add("warmup_epochs", r.warmup_epochs, "epochs of linear warm-up from 0");
  t.add("blr", r.blr, "base learning rate: lr = blr x batch / 256");
  t.add("min_lr", r.min_lr, "learning rate at the end of the half cosine");
  t.add("weight_decay", r.optimizer.weight_decay, "AdamW; not on biases and 1-D tensors unless --decay all");
  t.add("beta1", r.optimizer.beta1, "AdamW");
  t.add("beta2", r.optimizer.beta2, "AdamW");
  t.add("clip_grad", r.optimizer.max_norm, "largest global gradient norm; 0: never clipped");
  t.add("seed", r.seed, "of initial values, order, crops and masks");
  t.add("dtype", o.dtype, "of the computation").one_of({"f32", "bf16", "f64"});
  t.group("Run");
  t.add("out", o.job.run.folder, "folder of this run").shown_as("RUN").must_be_given();
  t.add("resume", o.resume, "auto: go on if RUN has a checkpoint, start otherwise").one_of({"never", "auto"});
  t.add(
       "save_every", "between checkpoints: epochs (1) or a time (10m); the last step is always saved",
       [&o] { return Value(o.save_every); },
       [&o](const Value& value) { return set_save_every(o, std::get<std::string>(value)); })
      .shown_as("TIME")
      .or_number();
  t.add("keep", o.job.run.keep_checkpoints, "checkpoints kept");
  t.add("pictures", o.job.pictures, "images in learning.png; 0: none");
  add_show_channels_option(t, o.show_channels);
  t.add("validation_images", o.job.validation_images, "images of --val-data that the validation loss is over");
  t.add("profile", o.job.run.profile_steps,
        "time the kernels of this many steps, after the first two: a table, and RUN/trace.json; 0: none");
  t.add("stop_after", o.job.run.stop_after_steps, "stop, saved, after this many steps; 0: at the end");
  t.add(
       "max_time", "save and end with exit code 75 after this time, such as 3h50m", [&o] { return Value(o.max_time); },
       [&o](const Value& value) { return set_max_time(o, std::get<std::string>(value)); })
      .shown_as("TIME");
  t.add("on_nonfinite", o.on_nonfinite,
        "what to do about a loss or gradient that is not finite: stop, or go on from the last good state without that "
        "batch, and stop at the third in a row")
      .one_of({"stop", "rollback"});
  add_execution_options(t, o.job.execution);
  add_device_options(t, o.device);
  t.add("graph", o.graph, "replay a captured step; with --no-graph every kernel is launched anew");
}

std::string command_line(int argc, char** argv) {
  std::string text = "mae";
  for (int i = 0; i < argc; ++i) text += std::string(" ") + argv[i];
  return text;
}

StepPlanOptions plan_options(const PretrainingOptions& o, kernels::DType pixels) {
  return {.config = o.config,
          .execution = o.execution,
          .batch = o.recipe.batch,
          .micro_batch = o.recipe.micro(),
          .compute = o.compute,
          .pixels = pixels};
}

/// Which row each kernel of a step runs, "matmul=openblas".
std::string rows_of(const StepPlan& plan) {
  std::set<std::string> rows;
  for (const engine::OpEntry& op : plan.ops) {
    for (const kernels::LaunchRecord& record : op.launches) rows.insert(std::string(record.kernel) + "=" + record.row);
  }
  return fmt::format("{}", fmt::join(rows, " "));
}

void write_config(const OptionTable& table, const PretrainCommand& o, const kernels::Device& device,
                  const mae::Dataset& data, const StepPlan& plan, const std::string& command) {
  const std::string text = table.to_toml({{"version", version},
                                          {"commit", commit},
                                          {"compiler", kernels::compiler},
                                          {"device", device.name},
                                          {"threads", std::to_string(device.multiprocessors)},
                                          {"data_format", data.format},
                                          {"data_images", std::to_string(data.size)},
                                          {"data_fingerprint", fmt::format("{:016x}", data.fingerprint)},
                                          {"command", command},
                                          {"rows", rows_of(plan)}});
  engine::write_atomically((std::filesystem::path(o.job.run.folder) / "config.toml").string(),
                           [&](engine::FileWriter& file) { file.write(text); });
}

/// At the start alone: a run that goes on can change none of these keys.
void warn_of_pixels(const PretrainingOptions& o, const mae::Dataset& data) {
  const auto far = far_from_config(survey_of_first(data, o.recipe.seed), data, o.config);
  if (far) warn(*far);
}

}  // namespace

std::vector<std::string> pretrain_keys() {
  PretrainCommand o;
  OptionTable table("pretrain", "", "");
  add_options(table, o);
  return table.keys();
}

int pretrain(int argc, char** argv) {
  const double start = clock_seconds();
  PretrainCommand o;
  OptionTable table("pretrain", "pretrain a Masked Autoencoder. Defaults are the recipe of the paper",
                    "mae pretrain --data /usr/share/datasets/fashion-mnist --config apps/configs/fashion_mnist.toml "
                    "--out runs/first");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  o.job.compute = compute_type(o.dtype);
  o.job.run.resume = o.resume == "auto" ? Resume::automatic : Resume::never;
  const StopRequest stop(start + o.max_seconds);
  o.job.run.on_nonfinite = o.on_nonfinite == "rollback" ? OnNonFinite::rollback : OnNonFinite::stop;
  mae::validate(o.job.config);
  mae::validate(o.job.recipe);
  o.job.bands = shown_bands(o.show_channels, o.job.config.channels);
  const kernels::Device device = open_device(o.device);
  o.job.replay = o.graph ? engine::Replay::yes : engine::Replay::no;
  o.job.run.look_ahead = device.kind == kernels::DeviceKind::cuda ? LookAhead::yes : LookAhead::no;
  kernels::Stream stream(device);
  force_rows(stream, o.device);
  const mae::Dataset training = open_training_data(o.data, o.job.config);
  const mae::Dataset validation = open_validation_data(o.data, o.job.config);
  check_options(o.job, training, validation);
  const StepPlanOptions step = plan_options(o.job, training.dtype);
  const StepPlan plan = plan_step(stream, step);
  require_memory(stream, step, plan, memory_for_training(device));
  const engine::Descriptor held = engine::hold_folder(o.job.run.folder);
  const auto from = check_run_folder(o.job, training.fingerprint);
  if (!from) warn_of_pixels(o.job, training);
  if (const std::string signal = stop.signal(); !signal.empty()) {
    fmt::print("{}: before a step was made; --resume auto {}\n", signal, from ? "goes on" : "starts");
    return interrupted;
  }
  if (from) mae::adopt_choices(from->checkpoint);  // before anything is timed
  write_config(table, o, device, training, plan, command_line(argc, argv));
  switch (run_pretraining(stream, o.job, training, validation, from, stop)) {
    case RunEnd::not_finite:
      std::fputs(error_text(kernels::Error("the loss or the gradient is not finite; nothing of that step was kept",
                                           o.job.run.folder, "--resume auto with a smaller --blr, or --clip-grad 1"))
                     .c_str(),
                 stderr);
      return not_finite;
    case RunEnd::interrupted:
      return interrupted;
    case RunEnd::finished:
    case RunEnd::stopped:
      break;
  }
  if (o.job.pictures > 0) fmt::print("pictures: {0}/pictures/learning.png {0}/pictures/loss.png\n", o.job.run.folder);
  return done;
}

}  // namespace apps
