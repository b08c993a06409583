#include "apps/training_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "apps/cli.h"
#include "apps/run_checkpoints.h"
#include "apps/step_profile.h"
#include "engine/files.h"
#include "engine/json.h"

namespace apps {
namespace {

constexpr std::int64_t steps_before_profile = 2;  // libraries set themselves up, and memory is touched first

namespace fs = std::filesystem;
using engine::Json;

void add_all(Json& object, const Json& facts) {
  for (const Json& fact : facts.as_object()) object.add(fact.key, fact);
}

SavePlan save_plan(const RunOptions& o, const std::string& folder, const Job& job) {
  SavePlan plan{.folder = folder,
                .bytes = engine::checkpoint_bytes(job.training.parameters(), job.states),
                .keep = o.keep_checkpoints,
                .every_steps = 0,
                .every_seconds = o.save_every_seconds};
  if (o.save_every_seconds == 0)
    plan.every_steps = std::max(1.0, o.save_every_epochs * job.loader.steps_per_epoch().value());
  return plan;
}

class Run {
 public:
  Run(kernels::Stream& stream, const RunOptions& options, const Job& job)
      : stream_(stream),
        o_(options),
        job_(job),
        training_(job.training),
        loader_(job.loader),
        checkpoint_folder_((fs::path(options.folder) / "checkpoints").string()),
        picture_folder_((fs::path(options.folder) / "pictures").string()),
        queue_(loader_, training_, options.look_ahead),
        start_(clock_seconds()),
        checkpoints_(save_plan(options, checkpoint_folder_, job), start_) {}

  RunEnd train(const std::optional<engine::FoundCheckpoint>& from, const StopRequest& stop) {
    begin(from);
    const std::int64_t total = training_.total();
    make_up_for_evaluation();
    std::int64_t last = total;
    if (o_.stop_after_steps > 0) last = std::min(total, first_step_ + o_.stop_after_steps);
    for (std::int64_t step = first_step_; step < last; ++step) {
      const std::string reason = step > first_step_ ? stop.reason() : stop.signal();
      if (!reason.empty() && !queue_.ahead()) return interrupt(step, reason);
      const std::int64_t done = step + 1;
      const bool epoch_ends = ends_epoch(done), picture = done == 1 || epoch_ends || done == last;
      bool early = false, save_now = false;
      const auto nothing_between = [&] {  // decided once, before the next step may be queued
        early = !picture && !pictured_once_ && clock_seconds() - start_ > o_.picture_after_seconds;
        save_now = done < last && checkpoints_.due(done, clock_seconds());
        return !picture && !early && !save_now && stop.reason().empty() && !profile_->wants(done);
      };
      if (!one_step(step, nothing_between)) return RunEnd::not_finite;
      if (epoch_ends) report_epoch(done);
      if (done == last) save_or_throw(done);
      if (save_now) save(done);
      if (picture || early) draw_pictures(done);
      if (early) pictured_once_ = true;
    }
    report_profile();
    record_->progress().finish();
    if (first_step_ >= total) fmt::print("nothing to do: {} of {} steps are done\n", first_step_, total);
    if (last < total) fmt::print("stopped after step {} of {}; --resume auto goes on\n", last, total);
    return last == total ? RunEnd::finished : RunEnd::stopped;
  }

 private:
  void begin(const std::optional<engine::FoundCheckpoint>& from) {
    fs::create_directories(checkpoint_folder_);
    fs::create_directories(picture_folder_);
    for (const std::string& folder : {o_.folder, checkpoint_folder_, picture_folder_})
      engine::remove_partial_files(folder);
    if (from) {
      for (const kernels::Error& error : from->damaged) {
        engine::set_aside(error.where());
        warn(kernels::Error("damaged checkpoint, renamed to *.damaged: " + error.fact(), error.where(),
                            "nothing: the run goes on from " + from->path));
      }
      job_.load(from->path);
      checkpoints_.set_last_good(from->path, training_.done());
      fmt::print("resuming after step {} from {}\n", training_.done(), from->path);
    }
    first_step_ = training_.done();
    if (first_step_ < training_.total()) checkpoints_.require_space();
    if (!from) keep_old_log();
    record_.emplace(o_.folder, RecordOptions{.kind = job_.kind,
                                             .trained_parameters = training_.parameters().trainable_count(),
                                             .tensorboard = o_.tensorboard,
                                             .epoch_ended = [this](std::int64_t done) { return epoch_ended(done); }});
    skipped_ = record_->open(first_step_);
    Json line =
        from ? Json::object({{"event", "resume"}, {"checkpoint", from->path}}) : Json::object({{"event", "start"}});
    add_all(line, job_.at_start);
    event(std::move(line), first_step_);
    print_first_lines();
    start_ = clock_seconds();
    profile_.emplace(stream_, training_.options().compute, first_step_ + steps_before_profile, o_.profile_steps);
  }

  /// A log whose checkpoints are gone is not cut to nothing: it stays beside the new one, unless a longer one does.
  void keep_old_log() const {
    const fs::path log = fs::path(o_.folder) / "log.jsonl", old = fs::path(o_.folder) / "log.jsonl.old";
    std::error_code none;
    const auto size = [&](const fs::path& path) { return fs::exists(path, none) ? fs::file_size(path) : 0; };
    if (size(log) > size(old)) fs::rename(log, old);
  }

  void print_first_lines() {
    const mae::Recipe& r = training_.recipe();
    const engine::Parameters& parameters = training_.parameters();
    fmt::print("{}: {:.2f} M parameters ({:.2f} M trainable), {} {}\n", job_.description,
               static_cast<double>(parameters.count()) / 1e6, static_cast<double>(parameters.trainable_count()) / 1e6,
               stream_.device().name, kernels::name_of(training_.options().compute));
    fmt::print(
        "batch {} = {} x micro-batch {}, lr {:g} = blr {:g} x {} / 256, {} steps = {:g} epochs x {:g}, seed {}\n",
        r.batch, r.batch / r.micro(), r.micro(), r.lr(), r.blr, r.batch, training_.total(), r.epochs,
        loader_.steps_per_epoch().value(), r.seed);
    const engine::MemoryPlan m = training_.memory();
    fmt::print(
        "memory {:.1f} MiB: parameters {:.1f}, gradients {:.1f}, moments {:.1f}, activations {:.1f}, scratch {:.1f}, "
        "inputs {:.1f}\n",
        m.total() / 1048576, m.parameters / 1048576, m.gradients / 1048576, m.moments / 1048576,
        m.activations / 1048576, m.scratch / 1048576, m.inputs / 1048576);
    std::fflush(stdout);
  }

  double epoch_of(std::int64_t step) const { return loader_.steps_per_epoch().epochs(step); }
  Position position(std::int64_t done) const {
    return {done, epoch_of(done), loader_.steps_per_epoch().whole_epochs(done)};
  }

  /// Whether an evaluation is due: behind the last step of an epoch, and of the run.
  bool ends_epoch(std::int64_t done) const {
    return done > 0 && (done == training_.total() || position(done).whole_epochs > position(done - 1).whole_epochs);
  }

  /// The epoch, from 0, of the last step, where it ends there.
  std::optional<std::int64_t> epoch_ended(std::int64_t done) const {
    return ends_epoch(done) ? std::optional(position(done - 1).whole_epochs) : std::nullopt;
  }

  void event(Json line, std::int64_t step) { record_->event(std::move(line), step, epoch_of(step)); }

  /// False where the run cannot go on: its loss or gradient is not finite.
  bool one_step(std::int64_t step, const std::function<bool()>& nothing_between) {
    const double begin = clock_seconds(), waited = loader_.wait_seconds();
    prepare_images(step);
    const auto [batch, result] =
        profile_->wants(step) ? queue_.run(nothing_between, *profile_) : queue_.run(step, nothing_between);
    report_damaged(step);
    if (!result.finite && !leave_out(step, batch, result)) return false;
    const double now = clock_seconds(), seconds = now - start_, steps = static_cast<double>(step + 1 - first_step_),
                 rate = steps / seconds;
    record_->step({.step = step,
                   .epoch = epoch_of(step),
                   .loss = result.loss,
                   .lr = result.lr,
                   .gradient_norm = result.gradient_norm,
                   .skipped = !result.finite,
                   .seconds = now - begin,
                   .data_wait = loader_.wait_seconds() - waited});
    record_->progress().show({.epoch = static_cast<int>(epoch_of(step)) + 1,
                              .epochs = static_cast<int>(std::ceil(training_.recipe().epochs)),
                              .step = step + 1,
                              .steps = training_.total(),
                              .loss = result.loss,
                              .lr = result.lr,
                              .images_per_second = rate * loader_.samples_per_step(),
                              .seconds_left = static_cast<double>(training_.total() - step - 1) / rate,
                              .data_wait = loader_.wait_seconds() / seconds});
    return true;
  }

  /// Images that cannot be had, as when a drive is gone, end the run; what it has learned so far is saved.
  void prepare_images(std::int64_t step) {
    try {
      queue_.prepare(step);
      report_damaged(step);
    } catch (const kernels::Error& error) {
      report_damaged(step);
      stop_for(error, step);
    }
  }

  /// Saves what `done` steps have learned, and ends the run with the error.
  [[noreturn]] void stop_for(const kernels::Error& error, std::int64_t done) {
    record_->progress().finish();
    const auto not_saved = done > first_step_ ? try_to_save(done) : std::nullopt;
    event(Json::object({{"event", "stopped"}, {"error", error.what()}}), done);
    throw kernels::Error(error.fact() + (not_saved ? "; and no checkpoint: " + std::string(not_saved->what()) : ""),
                         error.where(),
                         (error.advice().empty() ? "" : error.advice() + "; ") +
                             (not_saved ? not_saved->advice() : "then the same line with --resume auto"));
  }

  void report_damaged(std::int64_t step) {
    constexpr int shown = 20;
    for (const mae::Damaged& d : loader_.take_damaged()) {
      event(Json::object({{"event", "unreadable image"},
                          {"sample", d.sample},
                          {"file", d.error.where()},
                          {"error", d.error.fact()}}),
            step);
      if (++damaged_ <= shown) record_->progress().note("warning: " + std::string(unreadable(d).what()));
      if (damaged_ == shown) record_->progress().note("warning: further ones are in " + record_->events_path());
    }
  }

  /// A step that is not finite has changed nothing, so the state is the last good one already: its batch is left out
  /// and training goes on with the next. Going back further would, step for step, lead here again. False where that is
  /// not asked for, and at the third such step in a row: then it is not the batches.
  bool leave_out(std::int64_t step, const mae::Batch& batch, const engine::StepResult& r) {
    std::vector<std::int64_t> samples;
    for (std::size_t i = 0; i < batch.draws.size(); i += 2) samples.push_back(batch.draws[i]);
    const std::string first = training_.first_not_finite(batch);
    skipped_.push_back(step);
    const std::size_t n = skipped_.size();
    const bool third = n >= 3 && skipped_[n - 3] == step - 2;
    const bool go_on = o_.on_nonfinite == OnNonFinite::rollback && !third;
    record_->progress().note(fmt::format("step {}: loss {}, gradient norm {}: not finite. First: {}{}", step, r.loss,
                                         r.gradient_norm, first, go_on ? "; its batch is left out" : ""));
    event(Json::object({{"event", go_on ? "skipped batch" : "not finite"},
                        {"loss", r.loss},
                        {"gradient_norm", r.gradient_norm},
                        {"first", first},
                        {"samples", samples}}),
          step);
    if (go_on) training_.skip();
    else record_->progress().finish();
    return go_on;
  }

  void report_epoch(std::int64_t done) {
    const double seconds = clock_seconds() - start_;
    Json line = Json::object(
        {{"event", "epoch"},
         {"seconds", seconds},
         {"data_wait_seconds", loader_.wait_seconds()},
         {"weight_norm", training_.weight_norm()},
         {"images_per_second", static_cast<double>(done - first_step_) * loader_.samples_per_step() / seconds}});
    const Found e = evaluate(done);
    record_->end_epoch();
    add_all(line, e.line);
    event(std::move(line), done);
    record_->progress().note(fmt::format("epoch {:g}: {} since start{}", epoch_of(done), short_time(seconds), e.text));
  }

  /// Behind the step that the run goes on from, where it had failed, and ended the run.
  void make_up_for_evaluation() {
    if (!ends_epoch(first_step_)) return;
    const Found e = record_->evaluated() ? Found{} : evaluate(first_step_);
    record_->end_epoch();
    if (e.text.empty()) return;
    Json line = Json::object({{"event", "evaluation"}});
    add_all(line, e.line);
    event(std::move(line), first_step_);
    record_->progress().note(fmt::format("after step {}{}", first_step_, e.text));
    draw_pictures(first_step_);
  }

  struct Found {
    Json line = Json::object({});
    std::string text;  // ", top1 0.8"
  };

  /// Evaluates, and writes that down. What cannot be evaluated, such as an image that cannot be read, ends the run;
  /// what it has learned is saved, and the run that goes on makes up for it.
  Found evaluate(std::int64_t done) {
    Found e;
    try {
      if (job_.evaluate) e.text = job_.evaluate(position(done), e.line);
    } catch (const kernels::Error& error) {
      stop_for(error, done);
    }
    if (!e.line.as_object().empty()) record_->evaluation(e.line, done, epoch_of(done));
    return e;
  }

  /// A trace that cannot be written costs no training either.
  void report_profile() {
    if (!profile_->wanted()) return;
    try {
      record_->progress().note(profile_->report((fs::path(o_.folder) / "trace.json").string()));
    } catch (const kernels::Error& error) {
      record_->progress().note("warning: no trace: " + std::string(error.what()));
    }
  }

  /// A picture that cannot be drawn costs no training.
  void draw_pictures(std::int64_t done) {
    if (!job_.draw) return;
    try {
      job_.draw(position(done), *record_);
      record_->picture(done, training_.total());
    } catch (const kernels::Error& error) {
      record_->progress().note("warning: no picture: " + std::string(error.what()));
    }
  }

  std::optional<kernels::Error> try_to_save(std::int64_t done) {
    const auto error = checkpoints_.save(done, clock_seconds(), [&](const std::string& path) {
      record_->sync();  // before a checkpoint relies on its lines
      engine::Text run{
          {"data_fingerprint", fmt::format("{:016x}", job_.fingerprint)},
          {"master_dtype", std::string(kernels::name_of(kernels::statistics_of(training_.options().compute)))},
          {"epochs", fmt::format("{}", epoch_of(done))}};
      run.merge(settings_of(training_.recipe()));
      run.insert(job_.settings.begin(), job_.settings.end());
      job_.save(path, run);
    });
    if (error) event(Json::object({{"event", "save failed"}, {"error", error->what()}}), done);
    else event(Json::object({{"event", "checkpoint"}, {"path", checkpoints_.last_good()}}), done);
    return error;
  }

  void save(std::int64_t done) {
    if (const auto error = try_to_save(done))
      record_->progress().note(fmt::format("warning: no checkpoint after step {}: {}; {}; training goes on", done,
                                           error->what(), error->advice()));
  }

  void save_or_throw(std::int64_t done) {
    if (const auto error = try_to_save(done)) throw *error;
  }

  RunEnd interrupt(std::int64_t done, const std::string& reason) {
    const bool news = done > first_step_;
    if (news) save_or_throw(done);
    event(Json::object({{"event", "interrupted"}, {"reason", reason}}), done);
    report_profile();
    record_->progress().finish();
    fmt::print("{}: {} after step {} of {}; --resume auto goes on\n", reason, news ? "saved" : "nothing new to save",
               done, training_.total());
    return RunEnd::interrupted;
  }

  kernels::Stream& stream_;
  const RunOptions& o_;
  const Job& job_;
  mae::Training& training_;
  mae::Loader& loader_;
  std::string checkpoint_folder_, picture_folder_;
  StepQueue queue_;
  double start_;
  RunCheckpoints checkpoints_;
  std::optional<RunRecord> record_;
  std::optional<StepProfile> profile_;
  std::vector<std::int64_t> skipped_;  // steps whose batches were left out
  std::int64_t first_step_ = 0;
  int damaged_ = 0;  // unreadable images so far
  bool pictured_once_ = false;
};

}  // namespace

mae::LoaderOptions loader_options(const RunSetup& o, const mae::Config& model, const mae::Augmentation& augmentation) {
  return {.seed = o.recipe.seed,
          .batch = o.recipe.batch,
          .part = o.recipe.part(),
          .height = model.image_height,
          .width = model.image_width,
          .augmentation = augmentation,
          .workers = o.loading.workers,
          .max_damaged = o.loading.max_damaged};
}

mae::TrainingOptions training_options(const RunSetup& o, const mae::Loader& loader) {
  return {.recipe = o.recipe,
          .compute = o.compute,
          .pixels = loader.dataset().dtype,
          .steps_per_epoch = loader.steps_per_epoch(),
          .short_part = loader.short_part(),
          .replay = o.replay};
}

RunEnd run_training(kernels::Stream& stream, const RunOptions& options, const Job& job,
                    const std::optional<engine::FoundCheckpoint>& from, const StopRequest& stop) {
  return Run(stream, options, job).train(from, stop);
}

}  // namespace apps
