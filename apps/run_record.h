// What a run writes down and shows while it goes: log.jsonl, evaluations.jsonl, timing.jsonl, events.jsonl and
// the progress line.
//
// The first two are the promise: the same bytes for the same run, however often it was interrupted. A line that the
// disk does not take is held in memory and written before the next; a checkpoint is only saved once the disk has them
// all. The other two hold the clock, differ from run to run, and losing a line of them is only said.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "apps/progress.h"
#include "engine/files.h"
#include "engine/json.h"

namespace apps {

struct StepRecord {
  std::int64_t step = 0;  // from 0
  double epoch = 0, loss = 0, lr = 0, gradient_norm = 0;
  bool skipped = false;  // not finite: its batch was left out, nothing was updated
  double seconds = 0;    // the whole step, waiting included
  double data_wait = 0;  // seconds of it spent waiting for images
};

class RunRecord {
 public:
  explicit RunRecord(const std::string& folder);

  /// Cuts the lines from step `done` on, which will be made again, and warns where earlier ones are missing. Throws
  /// for a line that cannot be read. Returns the steps among those kept whose batches were left out.
  std::vector<std::int64_t> open(std::int64_t done);
  /// Whether open() found an evaluation of the model as step `done` had left it.
  bool evaluated() const { return evaluated_; }
  /// Writes a step to log.jsonl and timing.jsonl. Never throws for a full disk.
  void step(const StepRecord& record);
  /// A line of evaluations.jsonl, which keeps log.jsonl's promise. Never throws for a full disk.
  void evaluation(engine::Json line, std::int64_t done, double epoch);
  /// A line of events.jsonl, with the wall clock. Never throws for a full disk.
  void event(engine::Json line, std::int64_t step, double epoch);
  /// Waits until the disk has every line of log.jsonl and evaluations.jsonl; throws where it does not take them.
  void sync() { log_.sync(), evaluations_.sync(); }

  ProgressWriter& progress() { return progress_; }
  const std::string& log_path() const { return log_path_; }
  const std::string& evaluations_path() const { return evaluations_path_; }
  const std::string& events_path() const { return events_path_; }

 private:
  template <class Append>
  void try_to(const std::string& path, Append append);

  std::string log_path_, evaluations_path_, timing_path_, events_path_;
  engine::LineLog log_, evaluations_, timing_, events_;
  ProgressWriter progress_;
  bool evaluated_ = false;
  std::set<std::string> failing_;  // files whose last line the disk did not take
};

}  // namespace apps
