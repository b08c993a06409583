// All rows of one work: tuned, checked, timed in turn.
#pragma once

#include <string>
#include <vector>

#include "bench/check.h"
#include "bench/timing.h"
#include "bench/work.h"

namespace bench {

struct Result {
  Row row;
  Times times;
  Checked checked;
  std::string error;  // the row threw this; empty: it ran
};

struct Contest {
  std::size_t sets = 0, bytes = 0;  // of operands, all sets together
  double prepare_seconds = 0;       // random values, the reference, checks
  std::vector<Result> results;      // one for each row that does not refuse
};

struct ContestOptions {
  Protocol protocol;
  std::vector<std::string> rows;  // only these; empty: all
  bool check = true;
};

Contest run_contest(const Work& work, const Device& device, const ContestOptions& options);

}  // namespace bench
