#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <set>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/model_options.h"
#include "apps/pixel_keys.h"
#include "apps/pretraining_run.h"
#include "apps/progress.h"
#include "apps/run_options.h"
#include "apps/show_channels.h"
#include "apps/step_plan.h"
#include "apps/stop_request.h"
#include "engine/checkpoint_folder.h"
#include "mae/model_file.h"

namespace apps {
namespace {

struct PretrainCommand {
  PretrainingOptions job;
  RunCommand command;
  DataOptions data;
  std::string init_channels = "mean";
  std::vector<int> show_channels;
  std::optional<mae::Config> of_run;  // says what a file of weights that is gone said
};

void add_options(OptionTable& t, PretrainCommand& o) {
  mae::Recipe& r = o.job.recipe;
  t.on_key("init", [&o] {
    if (std::filesystem::exists(o.job.init))
      o.job.config = mae::config_of(mae::Weights(o.job.init).checkpoint(), o.job.init);
    else if (o.of_run) o.job.config = *o.of_run;
  });
  add_model_options(t, o.job.config, &o.job.init);
  t.add("init_channels", o.init_channels,
        "patch projection of --init FILE for another number of channels: each the mean of the old ones, the old ones "
        "repeated, or initial values")
      .one_of({"mean", "repeat", "random"});
  add_data_options(t, o.data);
  add_augment_options(t, o.job.augment, o.job.crop);
  add_loading_options(t, o.command.loading);
  add_schedule_options(t, r);
  t.add("weight_decay", r.optimizer.weight_decay, "AdamW; not on biases and 1-D tensors unless --decay all");
  t.add("beta1", r.optimizer.beta1, "AdamW");
  t.add("beta2", r.optimizer.beta2, "AdamW");
  t.add("clip_grad", r.optimizer.max_norm, "largest global gradient norm; 0: never clipped");
  t.add("seed", r.seed, "of initial values, order, crops and masks");
  t.add("dtype", o.command.dtype, "of the computation").one_of({"f32", "bf16", "f64"});
  add_run_options(t, o.command);
  t.add("pictures", o.job.pictures, "images in learning.png; 0: none");
  add_show_channels_option(t, o.show_channels);
  t.add("validation_images", o.job.validation_images, "images of --val-data that the validation loss is over");
  add_execution_options(t, o.job.execution);
  add_execution_device_options(t, o.command);
}

StepPlanOptions plan_options(const PretrainingOptions& o, kernels::DType pixels) {
  return {.config = o.config,
          .execution = o.execution,
          .batch = o.recipe.batch,
          .micro_batch = o.recipe.micro(),
          .compute = o.compute,
          .pixels = pixels};
}

mae::ChannelRule channel_rule(const std::string& name) {
  using mae::ChannelRule;
  return name == "mean" ? ChannelRule::mean : name == "repeat" ? ChannelRule::repeat : ChannelRule::random;
}

/// Which row each kernel of a step runs, "matmul=openblas".
std::string rows_of(const StepPlan& plan) {
  std::set<std::string> rows;
  for (const engine::OpEntry& op : plan.ops) {
    for (const kernels::LaunchRecord& record : op.launches) rows.insert(std::string(record.kernel) + "=" + record.row);
  }
  return fmt::format("{}", fmt::join(rows, " "));
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
  if (const auto own = in_place_of(o.job.init, o.command)) {
    o.of_run = mae::config_of(own->checkpoint, own->path);
    table.parse(argc, argv);
  }
  settle(o.command, o.job);
  o.job.init_channels = channel_rule(o.init_channels);
  const StopRequest stop(start + o.command.max_seconds);
  if (!o.job.init.empty()) mae::require_known(o.job.config, o.job.init);
  mae::validate(o.job.config);
  mae::require_masked(o.job.config);
  mae::validate(o.job.recipe);
  o.job.bands = shown_bands(o.show_channels, o.job.config.channels);
  const kernels::Device device = open_device(o.command.device);
  o.job.run.look_ahead = look_ahead_on(device);
  kernels::Stream stream(device);
  force_rows(stream, o.command.device);
  const mae::Dataset training = open_training_data(o.data, o.job.config);
  const mae::Dataset validation = open_validation_data(o.data, o.job.config);
  check_options(o.job, training, validation);
  const StepPlanOptions step = plan_options(o.job, training.dtype);
  const StepPlan plan = plan_step(stream, step);
  require_memory(stream, step, plan, memory_for_training(device));
  const engine::Descriptor held = engine::hold_folder(o.job.run.folder);
  const auto from = check_run_folder(o.job, training.fingerprint);
  if (!from) {
    check_init(o.job);
    warn_of_pixels(o.job, training);
  }
  if (const std::string signal = stop.signal(); !signal.empty()) {
    fmt::print("{}: before a step was made; --resume auto {}\n", signal, from ? "goes on" : "starts");
    return interrupted;
  }
  if (from) mae::adopt_choices(from->checkpoint);  // before anything is timed
  write_run_config(table, o.job.run, device, training, rows_of(plan), typed(argc, argv));
  const RunEnd end = run_pretraining(stream, o.job, training, validation, from, stop);
  if (const int code = exit_code(end, o.job.run.folder); code != done) return code;
  if (o.job.pictures > 0) fmt::print("pictures: {0}/pictures/learning.png {0}/pictures/loss.png\n", o.job.run.folder);
  return done;
}

}  // namespace apps
