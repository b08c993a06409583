// The figures that sum a run up: headline() and facts() of reported_run.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/progress.h"
#include "apps/reported_run.h"
#include "apps/table.h"
#include "engine/number.h"

namespace apps {
namespace {

using engine::Json;

double option_number(const ReportedRun& run, const std::string& key) {
  return engine::parse_number<double>(run.option(key)).value_or(NAN);
}

std::string digits(double value) { return std::isfinite(value) ? fmt::format("{:.4g}", value) : "not finite"; }

struct Sums {
  double seconds = 0, waited = 0;
  std::int64_t timed = 0, skipped = 0;
  double last_loss = NAN;  // mean of the last epoch of steps
  double epochs_done = 0;  // behind the last step
  double epochs_of_step = 0;
};

Sums sums_of(const ReportedRun& run) {
  Sums s;
  const auto& steps = run.logs.steps;
  if (steps.empty()) return s;
  double loss = 0;
  std::int64_t losses = 0;
  for (const StepRecord& step : steps) {
    if (std::isfinite(step.seconds)) s.seconds += step.seconds, s.waited += step.data_wait, ++s.timed;
    s.skipped += step.skipped;
    if (step.epoch > steps.back().epoch - 1 && std::isfinite(step.loss)) loss += step.loss, ++losses;
  }
  if (losses > 0) s.last_loss = loss / static_cast<double>(losses);
  const StepRecord& last = steps.back();
  if (last.step > 0) s.epochs_of_step = last.epoch / static_cast<double>(last.step);
  s.epochs_done = last.epoch + s.epochs_of_step;
  return s;
}

/// Whether there is no room for one more step.
bool finished(const ReportedRun& run, const Sums& s) {
  return s.epochs_of_step > 0 && s.epochs_done + 0.999 * s.epochs_of_step > option_number(run, "epochs");
}

std::string progress_text(const ReportedRun& run, const Sums& s) {
  if (finished(run, s)) return fmt::format("{:.4g}, finished", s.epochs_done);
  return fmt::format("{:.3g} of {}, not finished", s.epochs_done, run.option("epochs"));
}

/// With the unit that the number has.
std::string metric_text(const std::string& key, double value) {
  const bool percent = key == "top1" || key == "top5" || key == "balanced_accuracy";
  return percent ? fmt::format("{:.2f} %", value) : digits(value);
}

struct Best {
  double value = NAN, epoch = 0;
};

/// The largest of an evaluation's number, or the smallest of a loss.
Best best_of(const ReportedRun& run, const std::string& key) {
  Best best;
  for (const Json& line : run.logs.evaluations) {
    const Json* found = line.find(key);
    if (!found || found->kind == Json::Kind::null) continue;
    const double value = found->as_double();
    const bool better = key == "validation_loss" ? value < best.value : value > best.value;
    if (std::isnan(best.value) || better) best = {value, line.at("epoch").as_double()};
  }
  return best;
}

std::string last_value(const ReportedRun& run, const std::string& key) {
  for (auto line = run.logs.evaluations.rbegin(); line != run.logs.evaluations.rend(); ++line)
    if (const Json* found = line->find(key); found && found->kind != Json::Kind::null)
      return metric_text(key, found->as_double());
  return {};
}

std::string model_text(const ReportedRun& run) {
  const auto o = [&](const char* key) { return run.option(key); };
  if (o("dim").empty()) return {};
  std::string text = fmt::format("image side {}, channels {}, patch {}, encoder {} x {}", o("image_size"),
                                 o("channels"), o("patch"), o("dim"), o("depth"));
  if (run.kind == RunKind::pretraining)
    text += fmt::format(", decoder {} x {}, mask ratio {}", o("decoder_dim"), o("decoder_depth"), o("mask_ratio"));
  return text;
}

std::string what_text(const ReportedRun& run) {
  if (run.kind == RunKind::pretraining) return "pretraining of a Masked Autoencoder";
  if (run.ran_on("command").starts_with("mae probe")) return "linear probe of a frozen encoder";
  const bool scratch = run.option("from_scratch") == "true";
  return scratch ? "a classifier from scratch" : "fine-tuning of a classifier, from " + run.option("checkpoint");
}

std::string data_text(const ReportedRun& run) {
  return fmt::format("{}: {} images, {}", run.option("data"), run.ran_on("data_images"), run.ran_on("data_format"));
}

std::string device_text(const ReportedRun& run) {
  const std::string name = run.ran_on("device");
  const bool gpu = run.option("device").starts_with("cuda");
  return fmt::format("{}, {} {}, {}", name, run.ran_on("threads"), gpu ? "multiprocessors" : "threads",
                     run.option("dtype"));
}

double images_per_second(const ReportedRun& run, const Sums& s) {
  return static_cast<double>(s.timed) * option_number(run, "batch") / s.seconds;
}

void add_results(std::vector<Fact>& all, const ReportedRun& run) {
  constexpr std::pair<const char*, const char*> metrics[] = {{"validation_loss", "validation loss"},
                                                             {"top1", "top-1"},
                                                             {"top5", "top-5"},
                                                             {"balanced_accuracy", "balanced accuracy"},
                                                             {"auroc", "AUROC"},
                                                             {"map", "mean average precision"},
                                                             {"macro_f1", "macro F1"}};
  for (const auto& [key, name] : metrics) {
    const std::string last = last_value(run, key);
    if (last.empty()) continue;
    const Best best = best_of(run, key);
    all.push_back({fmt::format("{}, last", name), last});
    all.push_back({fmt::format("{}, best", name),
                   fmt::format("{} after epoch {:.4g}", metric_text(key, best.value), best.epoch)});
  }
}

void add_speed(std::vector<Fact>& all, const ReportedRun& run, const Sums& s) {
  if (s.timed == 0) return;
  all.push_back({"time in training steps", short_time(s.seconds)});
  all.push_back({"throughput", fmt::format("{} images/s", digits(images_per_second(run, s)))});
  all.push_back({"time waiting for images", fmt::format("{:.1f} %", 100 * s.waited / s.seconds)});
}

/// What does not happen in a run that nothing happens to.
void add_incidents(std::vector<Fact>& all, const ReportedRun& run, const Sums& s) {
  static const std::map<std::string, std::string> names{{"resume", "went on after a stop"},
                                                        {"unreadable image", "unreadable images"},
                                                        {"save failed", "saves that failed"},
                                                        {"stopped", "ended by an error"}};
  std::map<std::string, std::int64_t> counts;
  for (const Json& line : run.logs.events) {
    const Json* event = line.find("event");
    if (event && event->kind == Json::Kind::string && names.contains(event->text)) ++counts[names.at(event->text)];
  }
  if (s.skipped > 0) counts["batches left out"] = s.skipped;
  for (const auto& [name, count] : counts) all.push_back({name, fmt::format("{} x", count)});
}

}  // namespace

std::string deciding_key(const ReportedRun& run) {
  for (const char* key : {"top1", "auroc"})
    for (const Json& line : run.logs.evaluations)
      if (line.find(key)) return key;
  return {};
}

std::vector<Fact> headline(const ReportedRun& run) {
  const Sums s = sums_of(run);
  const std::string key = deciding_key(run);
  std::vector<Fact> all;
  if (!key.empty()) {
    const Best best = best_of(run, key);
    all.push_back({fmt::format("best {}, after epoch {:.4g}", key == "top1" ? "top-1" : "AUROC", best.epoch),
                   metric_text(key, best.value)});
  }
  if (const std::string loss = last_value(run, "validation_loss"); !loss.empty())
    all.push_back({"validation loss, last", loss});
  if (key.empty()) all.push_back({"training loss, last epoch", digits(s.last_loss)});
  all.push_back({finished(run, s) ? "epochs, finished" : "epochs of " + run.option("epochs"),
                 fmt::format("{:.3g}", s.epochs_done)});
  if (s.timed > 0) all.push_back({"in training steps", short_time(s.seconds)});
  return all;
}

std::vector<Fact> facts(const ReportedRun& run) {
  const Sums s = sums_of(run);
  std::vector<Fact> all{
      {"what", what_text(run)},
      {"model", model_text(run)},
      {"data", data_text(run)},
      {"epochs", progress_text(run, s)},
      {"steps", fmt::format("{} of {} images", thousands(std::int64_t(run.logs.steps.size())), run.option("batch"))},
      {"training loss, mean of the last epoch", digits(s.last_loss)}};
  add_results(all, run);
  add_speed(all, run, s);
  add_incidents(all, run, s);
  all.push_back({"seed", run.option("seed")});
  all.push_back({"device", device_text(run)});
  all.push_back({"version",
                 fmt::format("mae {} at {}, {}", run.ran_on("version"), run.ran_on("commit"), run.ran_on("compiler"))});
  if (!run.checkpoint.empty()) all.push_back({"newest checkpoint", run.checkpoint});
  if (!run.best.empty()) all.push_back({"best weights", run.best});
  all.erase(std::remove_if(all.begin(), all.end(), [](const Fact& fact) { return fact.value.empty(); }), all.end());
  return all;
}

}  // namespace apps
