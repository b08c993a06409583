// Every kernel by name, and the names of its rows.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/device.h"

namespace apps {

struct KernelRows {
  std::string kernel;
  std::vector<std::string> cpu, cuda, simt;  // best first
  const std::vector<std::string>& on(kernels::DeviceKind kind) const {
    return kind == kernels::DeviceKind::cpu ? cpu : kind == kernels::DeviceKind::cuda ? cuda : simt;
  }
};

std::vector<KernelRows> kernel_list();

}  // namespace apps
