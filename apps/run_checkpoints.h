// When a run saves, whether there is room for it, and what happens when a save fails: the last good checkpoint stays,
// training goes on, and the save is tried again a minute later.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "kernels/core/check.h"

namespace apps {

struct SavePlan {
  std::string folder;
  std::uint64_t bytes = 0;       // of one checkpoint, about
  int keep = 2;                  // checkpoints kept
  double every_steps = 0;  // at least 1, or 0: by the clock
  double every_seconds = 0;
};

class RunCheckpoints {
 public:
  RunCheckpoints(SavePlan plan, double now) : plan_(std::move(plan)), last_(now) {}

  /// Throws where the disk has no room for the checkpoints to come: keep + 1, for one is written before one goes.
  void require_space() const;

  /// Whether a save is due after `done` steps.
  bool due(std::int64_t done, double now) const;

  /// Calls write(path) for the checkpoint after `done` steps, unless it is there, and removes old ones. Returns what
  /// went wrong; its advice names the last good checkpoint.
  std::optional<kernels::Error> save(std::int64_t done, double now,
                                     const std::function<void(const std::string& path)>& write);

  const std::string& last_good() const { return last_good_; }  // empty: none
  void set_last_good(std::string path, std::int64_t done);

 private:
  SavePlan plan_;
  double last_;  // when the last save was tried
  bool failed_ = false;
  std::string last_good_;
  std::int64_t saved_ = -1;  // steps of the last good one
};

}  // namespace apps
