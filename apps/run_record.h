// What a run writes down and shows while it goes: log.jsonl, evaluations.jsonl, log.txt, timing.jsonl, events.jsonl,
// the file for TensorBoard, and the progress line.
//
// The first three are the promise: the same bytes for the same run, however often it was interrupted. A line that the
// disk does not take is held in memory and written before the next; a checkpoint is only saved once the disk has them
// all. The others hold the clock, differ from run to run, and losing a line of them is only said. log.txt and the file
// for TensorBoard say nothing of their own: open() makes them from the other logs, whatever they were.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/epoch_log.h"
#include "apps/progress.h"
#include "apps/run_logs.h"
#include "apps/tensorboard.h"
#include "engine/files.h"
#include "engine/json.h"

namespace apps {

struct RecordOptions {
  RunKind kind = RunKind::pretraining;
  std::int64_t trained_parameters = 0;
  bool tensorboard = false;
  EpochEnded epoch_ended;
};

class RunRecord {
 public:
  RunRecord(const std::string& folder, const RecordOptions& options);

  /// Cuts the lines from step `done` on, which will be made again, and warns where earlier ones are missing. Throws
  /// for a line that cannot be read. Returns the steps among those kept whose batches were left out.
  std::vector<std::int64_t> open(std::int64_t done);
  /// Whether open() found an evaluation of the model as step `done` had left it.
  bool evaluated() const { return evaluated_; }
  /// Writes a step to log.jsonl and timing.jsonl. Never throws for a full disk.
  void step(const StepRecord& record);
  /// A line of evaluations.jsonl, which keeps log.jsonl's promise. Never throws for a full disk.
  void evaluation(engine::Json line, std::int64_t done, double epoch);
  /// The epoch that the last step ended, if it ended one, needs no further evaluation: its line of log.txt. Never
  /// throws for a full disk.
  void end_epoch();
  /// pictures/learning.png has been drawn: for TensorBoard, twenty times in a run of `total` steps.
  void picture(std::int64_t done, std::int64_t total);
  /// A line of events.jsonl, with the wall clock. Never throws for a full disk.
  void event(engine::Json line, std::int64_t step, double epoch);
  /// Waits until the disk has every line of log.jsonl, evaluations.jsonl and log.txt; throws where it does not take
  /// them.
  void sync() { log_.sync(), evaluations_.sync(), epochs_.sync(); }

  ProgressWriter& progress() { return progress_; }
  const std::string& log_path() const { return log_path_; }
  const std::string& evaluations_path() const { return evaluations_path_; }
  const std::string& events_path() const { return events_path_; }

 private:
  template <class Append>
  void try_to(const std::string& path, Append append);

  std::string folder_, log_path_, evaluations_path_, epochs_path_, timing_path_, events_path_;
  RunKind kind_;
  bool tensorboard_wanted_;
  engine::LineLog log_, evaluations_, timing_, events_;
  EpochLog epochs_;
  std::optional<TensorBoardLog> tensorboard_;  // behind open(), where it is wanted
  ProgressWriter progress_;
  bool evaluated_ = false;
  std::int64_t pictured_ = -1;     // twentieths of the run, up to the last picture
  std::set<std::string> failing_;  // files whose last line the disk did not take
};

}  // namespace apps
