// All rows of one work: tuned, checked, timed in turn.
#pragma once

#include <string>
#include <vector>

#include "bench/check.h"
#include "bench/timing.h"
#include "bench/work.h"
#include "kernels/cuda/profile.h"

namespace bench {

struct Result {
  Row row;
  Times times;        // operands in turn: cold
  double hot_us = 0;  // median on one set of operands; 0: not timed
  Checked checked;
  kernels::cuda::LaunchFacts facts;  // where they were asked for, and the row is ours on a GPU
  std::string error;                 // the row threw this; empty: it ran

  bool wrong() const { return checked.done && !checked.passed; }
  bool counts() const { return error.empty() && !wrong(); }
};

struct Contest {
  std::size_t sets = 0, bytes = 0;  // of operands, all sets together
  double prepare_seconds = 0;       // random values, the reference, checks
  std::vector<Result> results;      // one for each row that does not refuse
  std::vector<Row> refused;

  /// The rows that count, the fastest first.
  std::vector<const Result*> by_time() const;
  /// Median of the fastest row of a library that rounds no more than asked for; 0: there is none.
  double best_vendor_us() const;
};

struct ContestOptions {
  Protocol protocol;
  std::vector<std::string> rows;  // only these; empty: all
  bool check = true, hot = false, facts = false;
};

/// A row that throws has its error; Error where none can be tried at all.
Contest run_contest(const Work& work, const Device& device, const ContestOptions& options);

}  // namespace bench
