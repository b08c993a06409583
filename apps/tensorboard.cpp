#include "apps/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "engine/event_file.h"

namespace apps {
namespace {

namespace fs = std::filesystem;
using engine::Json, engine::Scalar;

constexpr const char* file_begin = "events.out.tfevents.";
constexpr const char* file_end = ".mae";

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Newer names sort behind older ones, which is the order that TensorBoard reads them in.
std::string new_path(const std::string& folder) {
  return (fs::path(folder) / fmt::format("{}{:017.6f}{}", file_begin, unix_seconds(), file_end)).string();
}

/// A TensorBoard that is looking reads the newest of them: emptied, it is at its end, and the next one is looked for;
/// removed, it is looked for in vain for ever.
void retire_others(const std::string& folder, const std::string& kept) {
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(file_begin) && name.ends_with(file_end) && entry.path() != kept)
      others.push_back(entry.path());
  }
  std::sort(others.begin(), others.end());
  for (const fs::path& path : others) {
    if (path == others.back()) fs::resize_file(path, 0);
    else fs::remove(path);
  }
}

std::string events_of(double time, std::int64_t x, const std::vector<Scalar>& all) {
  std::vector<Scalar> scalars;
  for (const Scalar& scalar : all)
    if (std::isfinite(scalar.value)) scalars.push_back(scalar);
  return scalars.empty() ? "" : engine::scalars_event(time, x, scalars);
}

std::string events_of(const StepRecord& r, RunKind kind, double time) {
  const char* loss = kind == RunKind::pretraining ? "train_loss" : "loss";
  const double learnt = r.skipped ? NAN : r.loss, norm = r.skipped ? NAN : r.gradient_norm;
  return events_of(time, static_cast<std::int64_t>(r.epoch * 1000), {{loss, learnt}, {"lr", r.lr}}) +
         events_of(time, r.step,
                   {{"step/loss", learnt},
                    {"step/lr", r.lr},
                    {"step/gradient_norm", norm},
                    {"step/seconds", r.seconds},
                    {"step/data_wait_seconds", r.data_wait}});
}

std::string events_of(const Json& evaluation, RunKind kind, double time) {
  std::vector<Scalar> ours, official;
  for (const Json& number : evaluation.as_object()) {
    if (number.key == "step" || number.key == "epoch" || number.kind == Json::Kind::null) continue;
    ours.push_back({"evaluation/" + number.key, number.as_double()});
    const char* name = number.key == "top1"              ? "perf/test_acc1"
                       : number.key == "top5"            ? "perf/test_acc5"
                       : number.key == "validation_loss" ? "perf/test_loss"
                                                         : nullptr;
    if (name && kind == RunKind::finetuning) official.push_back({name, number.as_double()});
  }
  const auto epoch = static_cast<std::int64_t>(std::ceil(evaluation.at("epoch").as_double())) - 1;
  return events_of(time, evaluation.at("step").as_int(), ours) + events_of(time, epoch, official);
}

}  // namespace

std::string write_event_file(const std::string& folder, const std::string& run, RunKind kind) {
  constexpr std::size_t piece = std::size_t{1} << 20;
  const RunLogs logs = read_run_logs(run);
  const std::vector<double> times = wall_times(logs);
  const std::int64_t done = logs.steps.empty() ? 0 : logs.steps.back().step + 1;
  fs::create_directories(folder);
  engine::remove_partial_files(folder);
  const std::string path = new_path(folder);
  engine::write_atomically(path, [&](engine::FileWriter& file) {
    std::string bytes = engine::event_file_begin(times.empty() ? unix_seconds() : times.front());
    for (std::size_t i = 0; i < logs.steps.size(); ++i) {
      bytes += events_of(logs.steps[i], kind, times[i]);
      if (bytes.size() > piece) file.write(bytes), bytes.clear();
    }
    for (const Json& line : logs.evaluations)
      bytes += events_of(line, kind, wall_time_after(logs, times, line.at("step").as_int()));
    if (const std::string picture = learning_picture(run); done > 0 && fs::exists(picture))
      bytes += engine::image_event(times.back(), done, "learning", engine::read_file(picture));
    file.write(bytes);
  });
  retire_others(folder, path);
  return path;
}

TensorBoardLog::TensorBoardLog(const std::string& run, RunKind kind)
    : kind_(kind), path_(write_event_file((fs::path(run) / "tensorboard").string(), run, kind)), file_(path_) {}

void TensorBoardLog::step(const StepRecord& record) { file_.append_record(events_of(record, kind_, unix_seconds())); }

void TensorBoardLog::evaluation(const Json& line) { file_.append_record(events_of(line, kind_, unix_seconds())); }

void TensorBoardLog::picture(const std::string& png, std::int64_t done) {
  file_.append_record(engine::image_event(unix_seconds(), done, "learning", png));
}

}  // namespace apps
