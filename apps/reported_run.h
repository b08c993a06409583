// A run as its report sees it: what its folder holds, and the figures that sum it up.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/run_logs.h"

namespace apps {

struct ReportedRun {
  std::string folder, name;                                       // name: the folder's own
  std::vector<std::pair<std::string, std::string>> options, ran;  // config.toml: its options, and its table [run]
  RunKind kind = RunKind::pretraining;
  RunLogs logs;
  std::string learning;          // the bytes of pictures/learning.png; empty: there is none
  std::string checkpoint, best;  // paths; empty: there is none

  /// An option's value as the file has it; empty: there is none.
  std::string option(const std::string& key) const;
  std::string ran_on(const std::string& key) const;
};

/// Reads a folder that `mae pretrain`, `mae finetune` or `mae probe --protocol official` made; a run may be at work in
/// it. config.toml and log.jsonl must be there. Throws, naming the file, for one that is missing or damaged.
ReportedRun read_reported_run(const std::string& folder);

struct Fact {
  std::string name, value;
};
/// The three or four numbers that say most.
std::vector<Fact> headline(const ReportedRun& run);
/// What was trained, on what, how long, with what result, and what happened on the way.
std::vector<Fact> facts(const ReportedRun& run);

/// Which key of evaluations.jsonl decides, by what runs have: "top1", "auroc", or nothing.
std::string deciding_key(const ReportedRun& run);

}  // namespace apps
