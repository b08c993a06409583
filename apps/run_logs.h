// The logs of a run's folder, read back: for its report, and for what other programs read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/json.h"

namespace apps {

enum class RunKind { pretraining, finetuning };  // finetuning: whatever trains a classifier

struct StepRecord {
  std::int64_t step = 0;  // from 0
  double epoch = 0, loss = 0, lr = 0, gradient_norm = 0;
  bool skipped = false;  // not finite: its batch was left out, nothing was updated
  double seconds = 0;    // the whole step, waiting included
  double data_wait = 0;  // seconds of it spent waiting for images
};

struct RunLogs {
  /// log.jsonl, with timing.jsonl beside it. NaN: a loss or norm that was not finite, a time that nobody wrote down.
  std::vector<StepRecord> steps;
  std::vector<engine::Json> evaluations, events;
};

/// A run may be at work in the folder: a last line without its end is passed over. Of the logs only log.jsonl must be
/// there. Throws, naming file and line, where one cannot be read.
RunLogs read_run_logs(const std::string& folder);

/// RUN/pictures/learning.png, which only a pretraining has.
std::string learning_picture(const std::string& folder);

/// A line of log.jsonl; its times are not known. Throws where a key is missing.
StepRecord step_record(const engine::Json& line);

/// When each step ended, in seconds since 1970, as far as events.jsonl and timing.jsonl say: the time of the last event
/// before it, and the steps since.
std::vector<double> wall_times(const RunLogs& logs);
/// The same for a number of steps that are done.
double wall_time_after(const RunLogs& logs, const std::vector<double>& times, std::int64_t done);

}  // namespace apps
