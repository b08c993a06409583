// A run's logs as TensorBoard shows them. The tags of the official code keep their x axis; ours count steps.
//
//     train_loss (fine-tuning: loss), lr                        x: epoch x 1000, which runs of any batch size share
//     perf/test_acc1, perf/test_acc5, perf/test_loss            x: epoch, from 0; fine-tuning alone
//     step/loss, lr, gradient_norm, seconds, data_wait_seconds  x: step, as log.jsonl and timing.jsonl have it
//     evaluation/...                                            x: steps done, as evaluations.jsonl has it
//     learning                                                  the picture learning.png
//
// Values that are not finite, and what is not known, are left out.
#pragma once

#include <cstdint>
#include <string>

#include "apps/run_logs.h"
#include "engine/files.h"

namespace apps {

/// Writes everything that the logs of `run` hold to a new file in `folder`, which is made, and returns its path. Of the
/// files that this function left there before the newest is emptied, the others are removed.
/// `run`/pictures/learning.png goes along, as it is now.
std::string write_event_file(const std::string& folder, const std::string& run, RunKind kind);

/// Follows a run. A file of its own for each start, with what the logs hold in front: so it has each step once, however
/// often the run was killed, and TensorBoard, which reads on where it was, has never to do with a file that shrank.
class TensorBoardLog {
 public:
  TensorBoardLog(const std::string& run, RunKind kind);
  const std::string& path() const { return path_; }
  // Each throws where the disk does not take it, and is then written before the next.
  void step(const StepRecord& record);
  void evaluation(const engine::Json& line);
  void picture(const std::string& png, std::int64_t done);

 private:
  RunKind kind_;
  std::string path_;
  engine::LineLog file_;
};

}  // namespace apps
