#include "apps/training_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>

#include "apps/cli.h"
#include "apps/learning_picture.h"
#include "apps/progress.h"
#include "engine/files.h"
#include "engine/json.h"
#include "mae/model_file.h"
#include "mae/reconstruct.h"

namespace apps {
namespace {

namespace fs = std::filesystem;
using engine::Json;

struct Paths {
  explicit Paths(const std::string& run)
      : log((fs::path(run) / "log.jsonl").string()),
        events((fs::path(run) / "events.jsonl").string()),
        checkpoints((fs::path(run) / "checkpoints").string()),
        pictures((fs::path(run) / "pictures").string()) {}
  std::string log, events, checkpoints, pictures;
};

/// Some images of a data set, evenly spread, as one batch.
mae::Batch fixed_batch(const mae::Dataset& data, std::int64_t count, const mae::Config& config) {
  mae::Batch batch;
  count = std::min(count, data.size);
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int64_t i = n * data.size / count;
    mae::append(batch, data.image(i), config.image_height, config.image_width, static_cast<std::uint32_t>(i));
  }
  return batch;
}

class Run {
 public:
  Run(kernels::Stream& stream, const RunOptions& options, const mae::Dataset& training, const mae::Dataset& validation)
      : stream_(stream),
        o_(options),
        paths_(options.folder),
        shown_(validation.size > 0 ? validation : training),
        has_validation_(validation.size > 0),
        loader_(training, {.seed = options.recipe.seed,
                           .batch = options.recipe.batch,
                           .height = options.config.image_height,
                           .width = options.config.image_width,
                           .augment = options.augment ? mae::Augment::crop_flip : mae::Augment::none,
                           .range = options.crop,
                           .workers = options.workers}),
        pretraining_(stream, options.config, options.recipe, options.compute, training.dtype,
                     loader_.steps_per_epoch()),
        learning_(paths_.pictures, options.recipe.epochs),
        fingerprint_(training.fingerprint) {
    if (options.pictures > 0) pictured_ = fixed_batch(shown_, options.pictures, options.config);
    if (has_validation_) validated_ = fixed_batch(validation, options.validation_images, options.config);
  }

  RunEnd train() {
    begin();
    const std::int64_t total = pretraining_.total(), per_epoch = loader_.steps_per_epoch();
    std::int64_t last = total;
    if (o_.stop_after_steps > 0) last = std::min(total, pretraining_.done() + o_.stop_after_steps);
    const auto save_every =
        static_cast<std::int64_t>(std::max(1.0, std::round(o_.save_every_epochs * static_cast<double>(per_epoch))));
    for (std::int64_t step = pretraining_.done(); step < last; ++step) {
      const engine::StepResult result = pretraining_.step(loader_.get(step));
      if (!result.finite) return stop_not_finite(step, result);
      write_step(step, result);
      const std::int64_t done = step + 1;
      const bool epoch_ends = done % per_epoch == 0;
      if (epoch_ends || done == total) report_epoch(done);
      const bool early = !epoch_ends && !pictured_once_ && clock_seconds() - start_ > o_.picture_after_seconds;
      if (done % save_every == 0 || done == last) save(done);
      if (done == 1 || epoch_ends || early || done == last) draw_pictures(done);
      if (early) pictured_once_ = true;
    }
    progress_.finish();
    if (first_step_ >= total) fmt::print("nothing to do: {} of {} steps are done\n", first_step_, total);
    if (last < total) fmt::print("stopped after step {} of {}; --resume auto goes on\n", last, total);
    return last == total ? RunEnd::finished : RunEnd::stopped;
  }

 private:
  void begin() {
    fs::create_directories(paths_.checkpoints);
    fs::create_directories(paths_.pictures);
    engine::remove_partial_files(o_.folder);
    engine::remove_partial_files(paths_.checkpoints);
    engine::remove_partial_files(paths_.pictures);
    if (const auto latest = engine::latest_checkpoint(paths_.checkpoints)) {
      pretraining_.load(*latest);
      event(Json::object({{"event", "resume"}, {"checkpoint", *latest}}), pretraining_.done());
      fmt::print("resuming after step {} from {}\n", pretraining_.done(), *latest);
    } else {
      event(Json::object({{"event", "start"}}), 0);
    }
    // steps after the checkpoint will be made, and logged, again
    const std::int64_t done = pretraining_.done();
    const std::int64_t kept =
        engine::keep_lines(paths_.log, [&](std::string_view line) { return step_of(line) < done; });
    if (kept < done)
      warn(kernels::Error(fmt::format("only {} of the {} steps before the checkpoint are here", kept, done),
                          paths_.log));
    log_.emplace(paths_.log);
    print_first_lines();
    start_ = clock_seconds();
    first_step_ = done;
  }

  std::int64_t step_of(std::string_view line) const {
    try {
      return engine::parse_json(line, paths_.log).at("step").as_int();
    } catch (const kernels::Error& error) {
      throw kernels::Error("a line of this log cannot be read: " + error.fact(), paths_.log,
                           fmt::format("repair or remove the line {:.60}", line));
    }
  }

  void print_first_lines() {
    const mae::Recipe& r = o_.recipe;
    const auto& parameters = pretraining_.model().parameters();
    const mae::Config& c = o_.config;
    fmt::print(
        "image {} x {} x {}, patch {}, encoder {} x {}, decoder {} x {}: {:.2f} M parameters ({:.2f} M trainable), {} "
        "{}\n",
        c.image_height, c.image_width, c.channels, c.patch, c.dim, c.depth, c.decoder_dim, c.decoder_depth,
        static_cast<double>(parameters.count()) / 1e6, static_cast<double>(parameters.trainable_count()) / 1e6,
        stream_.device().name, kernels::name_of(o_.compute));
    fmt::print("batch {} = {} x micro-batch {}, lr {:g} = blr {:g} x {} / 256, {} steps = {:g} epochs x {}, seed {}\n",
               r.batch, r.batch / r.micro(), r.micro(), r.lr(), r.blr, r.batch, pretraining_.total(), r.epochs,
               loader_.steps_per_epoch(), r.seed);
    const engine::MemoryPlan m = pretraining_.memory();
    fmt::print(
        "memory {:.1f} MiB: parameters {:.1f}, gradients {:.1f}, moments {:.1f}, activations {:.1f}, scratch {:.1f}, "
        "inputs {:.1f}\n",
        m.total() / 1048576, m.parameters / 1048576, m.gradients / 1048576, m.moments / 1048576,
        m.activations / 1048576, m.scratch / 1048576, m.inputs / 1048576);
    std::fflush(stdout);
  }

  double epoch_of(std::int64_t step) const {
    return static_cast<double>(step) / static_cast<double>(loader_.steps_per_epoch());
  }

  void write_step(std::int64_t step, const engine::StepResult& r) {
    log_->append(to_text(Json::object({{"step", step},
                                       {"epoch", epoch_of(step)},
                                       {"loss", r.loss},
                                       {"lr", r.lr},
                                       {"gradient_norm", r.gradient_norm}})));
    const double seconds = clock_seconds() - start_, steps = static_cast<double>(step + 1 - first_step_),
                 rate = steps / seconds;
    progress_.show({.epoch = static_cast<int>(epoch_of(step)) + 1,
                    .epochs = static_cast<int>(std::ceil(o_.recipe.epochs)),
                    .step = step + 1,
                    .steps = pretraining_.total(),
                    .loss = r.loss,
                    .lr = r.lr,
                    .images_per_second = rate * static_cast<double>(o_.recipe.batch),
                    .seconds_left = static_cast<double>(pretraining_.total() - step - 1) / rate});
  }

  void event(Json line, std::int64_t step) {
    line.add("step", step);
    line.add("epoch", epoch_of(step));
    line.add("unix_time", static_cast<std::int64_t>(std::time(nullptr)));
    engine::LineLog(paths_.events).append(to_text(line));
  }

  void report_epoch(std::int64_t done) {
    const double seconds = clock_seconds() - start_;
    Json line = Json::object({{"event", "epoch"},
                              {"seconds", seconds},
                              {"data_wait_seconds", loader_.wait_seconds()},
                              {"images_per_second", static_cast<double>(done - first_step_) *
                                                        static_cast<double>(o_.recipe.batch) / seconds}});
    std::string note = fmt::format("epoch {:g}: {} since start", epoch_of(done), short_time(seconds));
    if (has_validation_) {
      const double loss = pretraining_.evaluate(validated_);
      line.add("validation_loss", loss);
      note += fmt::format(", validation loss {:.4f} on {} images", loss, validated_.draws.size() / 2);
    }
    event(std::move(line), done);
    progress_.note(note);
  }

  /// A picture that cannot be drawn costs no training.
  void draw_pictures(std::int64_t done) {
    try {
      try_to_draw(done);
    } catch (const kernels::Error& error) {
      progress_.note("warning: no picture: " + std::string(error.what()));
    }
  }

  void try_to_draw(std::int64_t done) {
    write_loss_picture((fs::path(paths_.pictures) / "loss.png").string(), paths_.log, paths_.events);
    if (o_.pictures == 0) return;
    const mae::Reconstruction r =
        mae::reconstruct(stream_, pretraining_.model(), pictured_, shown_.dtype, o_.recipe.seed);
    learning_.add(r, done, epoch_of(done), mae::default_bands(o_.config.channels));
  }

  void save(std::int64_t done) {
    const std::string path = (fs::path(paths_.checkpoints) / engine::checkpoint_name(done)).string();
    log_->sync();  // before a checkpoint relies on its lines
    pretraining_.save(path, {{"data_fingerprint", fmt::format("{:016x}", fingerprint_)},
                             {"master_dtype", std::string(kernels::name_of(kernels::statistics_of(o_.compute)))},
                             {"seed", std::to_string(o_.recipe.seed)},
                             {"batch", std::to_string(o_.recipe.batch)},
                             {"epochs", fmt::format("{}", epoch_of(done))}});
    engine::remove_old_checkpoints(paths_.checkpoints, o_.keep_checkpoints);
    event(Json::object({{"event", "checkpoint"}, {"path", path}}), done);
  }

  RunEnd stop_not_finite(std::int64_t step, const engine::StepResult& r) {
    progress_.finish();
    event(Json::object({{"event", "not finite"}, {"loss", r.loss}, {"gradient_norm", r.gradient_norm}}), step);
    return RunEnd::not_finite;
  }

  kernels::Stream& stream_;
  const RunOptions& o_;
  Paths paths_;
  const mae::Dataset& shown_;
  bool has_validation_;
  mae::Loader loader_;
  mae::Pretraining pretraining_;
  LearningPicture learning_;
  std::uint64_t fingerprint_;
  mae::Batch pictured_, validated_;
  std::optional<engine::LineLog> log_;
  ProgressWriter progress_;
  double start_ = 0;
  std::int64_t first_step_ = 0;
  bool pictured_once_ = false;
};

}  // namespace

RunEnd run_pretraining(kernels::Stream& stream, const RunOptions& options, const mae::Dataset& training,
                       const mae::Dataset& validation) {
  check_run_options(options, training, validation);
  check_run_folder(options, training.fingerprint);
  Run run(stream, options, training, validation);
  return run.train();
}

}  // namespace apps
