// The command line of `mae bench kernels`.
#pragma once

#include <string>
#include <vector>

#include "bench/timing.h"

namespace bench {

struct Options {
  std::vector<std::string> devices, kernels, rows, shapes, dtypes;  // empty: all that there are
  std::vector<std::string> cases;                                   // "attention_forward B=64 T=50 H=12 D=64 bf16 +lse"
  std::string json, markdown, picture;
  std::string once;  // a row
  Protocol protocol;
  double budget = 0;  // seconds after which no case is begun; 0: none
  bool all_variations = false, check = true, hot = true, list = false, skip_unknown = false, wide = false;
};

/// False after --help. Throws Error.
bool parse_options(int argc, char** argv, Options& options);

}  // namespace bench
