// Which cases the options choose.
#pragma once

#include <string>
#include <vector>

#include "bench/options.h"
#include "bench/work.h"

namespace bench {

/// What a variation must have or lack: "+lse", "+images:u8", "+pre:input", "-dbias".
struct Wish {
  std::string view, what;  // what: its role or type; empty: any
  bool has = true;
};

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
