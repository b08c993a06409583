// Every kernel of the registry behind one type, found by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/c/arguments.h"
#include "kernels/c/queue.h"

namespace kernels::c {

struct Kernel {
  const char* name;
  const Slots& (*slots)();  // of a struct with its defaults
  std::vector<const char*> (*rows)(DeviceKind kind);
  void (*launch)(mae_stream& stream, const Request& request);
};

/// In the order of the registry.
const std::vector<Kernel>& table();

/// Throws Error, with the names that are most like it.
const Kernel& find_kernel(const char* name);

}  // namespace kernels::c
