// RUN/log.txt: an epoch a line, with the keys of the official code's file of that name, for scripts that read it.
//
//     {"train_lr":..., "train_loss":..., "test_acc1":..., "test_acc5":..., "test_loss":..., "epoch":0,
//     "n_parameters":...}
//
// train_* are means over the steps of the epoch, as there; test_* are there where the epoch was evaluated, n_parameters
// (those that are trained) where a classifier is trained. A line is made of lines of log.jsonl and evaluations.jsonl
// alone, so a run that goes on makes again whatever lines it has, and cuts the file where they are others.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_logs.h"
#include "engine/files.h"

namespace apps {

/// The epoch, from 0, that ends with so many steps; nothing: none does.
using EpochEnded = std::function<std::optional<std::int64_t>(std::int64_t done)>;

class EpochLog {
 public:
  EpochLog(const std::string& path, RunKind kind, std::int64_t trained_parameters, EpochEnded ended)
      : path_(path), kind_(kind), trained_parameters_(trained_parameters), ended_(std::move(ended)), file_(path) {}

  // What a run has done before, or does now, in this order: the steps of an epoch, and what its evaluation found.
  void step(const StepRecord& record);
  void evaluation(const engine::Json& line);

  /// Gives the file the lines of the epochs that ended before `done` steps were. The one that ends there may still have
  /// to be evaluated.
  void open(std::int64_t done);
  /// Writes the line of the epoch that the last step ended, once. Throws where the disk does not take it, which is then
  /// made up for with the next.
  void end_epoch();
  void sync() { file_.sync(); }

 private:
  struct Sums {
    double loss = 0, lr = 0;
    std::int64_t steps = 0, learnt = 0;  // a batch that was left out has no loss
  };
  struct Epoch {
    std::int64_t number = 0, done = 0;
    Sums sums;
    std::optional<engine::Json> evaluation{};
  };
  std::string line_of(const Epoch& epoch) const;
  void write_lines(std::size_t first, std::size_t end);

  std::string path_;
  RunKind kind_;
  std::int64_t trained_parameters_;
  EpochEnded ended_;
  engine::LineLog file_;
  Sums sums_;                   // of the epoch that has not ended
  std::vector<Epoch> waiting_;  // those that have, and no line yet
};

}  // namespace apps
