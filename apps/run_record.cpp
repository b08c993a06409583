#include "apps/run_record.h"

#include <fmt/core.h>

#include <ctime>
#include <filesystem>

#include "apps/cli.h"
#include "kernels/core/check.h"

namespace apps {
namespace {

using engine::Json;

std::string in(const std::string& folder, const char* name) { return (std::filesystem::path(folder) / name).string(); }

/// Nothing for a line that is none of ours.
std::optional<Json> parse_line(std::string_view line, const std::string& path) {
  try {
    Json json = engine::parse_json(line, path);
    json.at("step").as_int();
    return json;
  } catch (const kernels::Error&) {
    return std::nullopt;
  }
}

/// A step of log.jsonl. Throws for a line that is none.
StepRecord parse_step(std::string_view text, const std::string& path) {
  try {
    return step_record(engine::parse_json(text, path));
  } catch (const kernels::Error&) {
    throw kernels::Error("a line of this log cannot be read", path,
                         fmt::format("repair or remove the line {:.60}", text));
  }
}

}  // namespace

RunRecord::RunRecord(const std::string& folder, const RecordOptions& options)
    : folder_(folder),
      log_path_(in(folder, "log.jsonl")),
      evaluations_path_(in(folder, "evaluations.jsonl")),
      epochs_path_(in(folder, "log.txt")),
      timing_path_(in(folder, "timing.jsonl")),
      events_path_(in(folder, "events.jsonl")),
      kind_(options.kind),
      tensorboard_wanted_(options.tensorboard),
      log_(log_path_),
      evaluations_(evaluations_path_),
      timing_(timing_path_),
      events_(events_path_),
      epochs_(epochs_path_, options.kind, options.trained_parameters, options.epoch_ended) {}

std::vector<std::int64_t> RunRecord::open(std::int64_t done) {
  std::vector<std::int64_t> skipped;
  const std::int64_t kept = engine::keep_lines(log_path_, [&](std::string_view text) {
    const StepRecord step = parse_step(text, log_path_);
    if (step.step >= done) return false;
    if (step.skipped) skipped.push_back(step.step);
    epochs_.step(step);
    return true;
  });
  if (kept < done) {
    warn(kernels::Error(fmt::format("only {} of the {} steps before the checkpoint are here", kept, done), log_path_));
  }
  engine::keep_lines(timing_path_, [&](std::string_view text) {
    const std::optional<Json> line = parse_line(text, timing_path_);
    return line && line->at("step").as_int() < done;
  });
  // an evaluation stands behind the step before it, so that of the checkpoint's step is kept
  engine::keep_lines(evaluations_path_, [&](std::string_view text) {
    const std::optional<Json> line = parse_line(text, evaluations_path_);
    if (!line || line->at("step").as_int() > done) return false;
    if (line->at("step").as_int() == done) evaluated_ = true;
    epochs_.evaluation(*line);
    return true;
  });
  try_to(epochs_path_, [&] { epochs_.open(done); });
  if (tensorboard_wanted_) tensorboard_.emplace(folder_, kind_);
  return skipped;
}

template <class Append>
void RunRecord::try_to(const std::string& path, Append append) {
  try {
    append();
    if (failing_.erase(path) > 0) progress_.note(path + ": is written again, no line is missing");
  } catch (const kernels::Error& error) {
    if (failing_.insert(path).second)
      progress_.note(fmt::format("warning: {}: {}; training goes on", path, error.fact()));
  }
}

void RunRecord::step(const StepRecord& r) {
  Json line = Json::object(
      {{"step", r.step}, {"epoch", r.epoch}, {"loss", r.loss}, {"lr", r.lr}, {"gradient_norm", r.gradient_norm}});
  if (r.skipped) line.add("skipped", true);
  try_to(log_path_, [&] { log_.append(to_text(line)); });
  const Json timing = Json::object({{"step", r.step}, {"seconds", r.seconds}, {"data_wait_seconds", r.data_wait}});
  try_to(timing_path_, [&] { timing_.append(to_text(timing)); });
  epochs_.step(r);
  if (tensorboard_) try_to(tensorboard_->path(), [&] { tensorboard_->step(r); });
}

void RunRecord::evaluation(Json line, std::int64_t done, double epoch) {
  line.add("step", done);
  line.add("epoch", epoch);
  try_to(evaluations_path_, [&] { evaluations_.append(to_text(line)); });
  epochs_.evaluation(line);
  if (tensorboard_) try_to(tensorboard_->path(), [&] { tensorboard_->evaluation(line); });
}

void RunRecord::end_epoch() {
  try_to(epochs_path_, [&] { epochs_.end_epoch(); });
}

void RunRecord::picture(std::int64_t done, std::int64_t total) {
  const std::int64_t part = done * 20 / total;
  const std::string path = learning_picture(folder_);
  if (!tensorboard_ || part == pictured_ || !std::filesystem::exists(path)) return;
  pictured_ = part;
  try_to(tensorboard_->path(), [&] { tensorboard_->picture(engine::read_file(path), done); });
}

void RunRecord::event(Json line, std::int64_t step, double epoch) {
  line.add("step", step);
  line.add("epoch", epoch);
  line.add("unix_time", static_cast<std::int64_t>(std::time(nullptr)));
  try_to(events_path_, [&] { events_.append(to_text(line)); });
}

}  // namespace apps
