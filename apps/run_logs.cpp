#include "apps/run_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "engine/files.h"
#include "kernels/core/check.h"

namespace apps {
namespace {

namespace fs = std::filesystem;
using engine::Json;

/// take(line) for each whole line of a log, where there is one; what it throws names the line.
void each_whole_line(const std::string& path, const std::function<void(const Json&)>& take) {
  const std::string text = engine::read_file(path);
  std::int64_t number = 1;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1, ++number) {
    try {
      take(engine::parse_json(std::string_view(text).substr(begin, end - begin), path));
    } catch (const kernels::Error& error) {
      throw kernels::Error("a line of this log cannot be read: " + error.fact(), fmt::format("{}:{}", path, number),
                           "repair or remove the line");
    }
  }
}

/// NaN for null, which is how JSON says it.
double number(const Json& line, std::string_view key) {
  const Json& value = line.at(key);
  return value.kind == Json::Kind::null ? NAN : value.as_double();
}

/// Both logs go up; of a step without a line of its own nothing is known.
void read_times(const std::string& path, std::vector<StepRecord>& steps) {
  std::size_t at = 0;
  each_whole_line(path, [&](const Json& line) {
    const std::int64_t step = line.at("step").as_int();
    while (at < steps.size() && steps[at].step < step) ++at;
    if (at == steps.size() || steps[at].step != step) return;
    steps[at].seconds = number(line, "seconds");
    steps[at].data_wait = number(line, "data_wait_seconds");
  });
}

std::vector<Json> read_positioned(const std::string& path) {
  std::vector<Json> lines;
  if (!fs::exists(path)) return lines;
  each_whole_line(path, [&](const Json& line) {
    line.at("step").as_int(), line.at("epoch").as_double();
    lines.push_back(line);
  });
  return lines;
}

}  // namespace

std::string learning_picture(const std::string& folder) {
  return (fs::path(folder) / "pictures" / "learning.png").string();
}

StepRecord step_record(const Json& line) {
  return {.step = line.at("step").as_int(),
          .epoch = line.at("epoch").as_double(),
          .loss = number(line, "loss"),
          .lr = number(line, "lr"),
          .gradient_norm = number(line, "gradient_norm"),
          .skipped = line.find("skipped") != nullptr,
          .seconds = NAN,
          .data_wait = NAN};
}

RunLogs read_run_logs(const std::string& folder) {
  const auto in = [&](const char* name) { return (fs::path(folder) / name).string(); };
  RunLogs logs;
  each_whole_line(in("log.jsonl"), [&](const Json& line) { logs.steps.push_back(step_record(line)); });
  if (fs::exists(in("timing.jsonl"))) read_times(in("timing.jsonl"), logs.steps);
  logs.evaluations = read_positioned(in("evaluations.jsonl"));
  logs.events = read_positioned(in("events.jsonl"));
  return logs;
}

std::vector<double> wall_times(const RunLogs& logs) {
  std::map<std::int64_t, std::size_t> last_at;  // steps done -> the last event there
  for (std::size_t i = 0; i < logs.events.size(); ++i) last_at[logs.events[i].at("step").as_int()] = i;
  std::vector<double> times;
  auto next = last_at.begin();
  std::ptrdiff_t anchor = -1;
  double now = 0;
  for (const StepRecord& step : logs.steps) {
    for (; next != last_at.end() && next->first <= step.step; ++next) {
      if (static_cast<std::ptrdiff_t>(next->second) < anchor) continue;  // of an earlier start, which went further
      anchor = static_cast<std::ptrdiff_t>(next->second);
      const Json* time = logs.events[next->second].find("unix_time");
      if (time) now = std::max(now, time->as_double());
    }
    if (std::isfinite(step.seconds)) now += step.seconds;
    times.push_back(now);
  }
  return times;
}

double wall_time_after(const RunLogs& logs, const std::vector<double>& times, std::int64_t done) {
  const auto after = std::lower_bound(logs.steps.begin(), logs.steps.end(), done,
                                      [](const StepRecord& step, std::int64_t n) { return step.step < n; });
  return after == logs.steps.begin() ? 0 : times[static_cast<std::size_t>(after - logs.steps.begin()) - 1];
}

}  // namespace apps
