// The command line of bench_kernels.
#pragma once

#include <string>
#include <vector>

#include "bench/contest.h"
#include "bench/work.h"

namespace bench {

/// What a variation must have or lack: "+lse", "+images:u8", "+pre:input", "-dbias".
struct Wish {
  std::string view, what;  // what: its role or type; empty: any
  bool has = true;
};

/// A case that was asked for by --case: "attention_forward B=64 T=50 H=12 D=64 bf16 +lse".
struct Asked {
  std::string kernel, shape, dtype;  // dtype: empty: those of --dtype
  std::vector<Wish> wishes;
};

struct Options {
  std::vector<std::string> devices, kernels, rows, shapes, dtypes;  // empty: all that there are
  std::vector<Asked> cases;
  std::string json;
  Protocol protocol;
  double budget = 0;  // seconds after which no case is begun; 0: none
  bool all_variations = false, check = true, list = false, help = false, skip_unknown = false;
};

/// Throws Error.
Options parse_options(int argc, char** argv);
std::string help_text();

/// One case to run: a shape of a kernel in one type.
struct Case {
  const Kernel* kernel;
  std::string shape;
  DType dtype;
  std::vector<Wish> wishes;  // the first variation that has them; none: those that bench takes

  std::vector<Work> works(const Device& device, bool all) const;
};

/// What the options choose. Throws Error, in a sentence, for kernels, rows, shapes and types that do not exist.
/// With skip_unknown, cases of --case that this build does not have go to `unknown`, each with the reason.
std::vector<Case> chosen_cases(const Options& options, const std::vector<Kernel>& kernels, const Device& device,
                               std::vector<std::string>& unknown);
std::vector<Device> chosen_devices(const Options& options);

}  // namespace bench
