// The options of every command that runs kernels: where, on how many threads, and which rows.
#pragma once

#include <string>
#include <vector>

#include "apps/options.h"
#include "kernels/core/stream.h"

namespace apps {

struct DeviceOptions {
  std::string device = "cpu";
  int threads = 0;                // of the CPU's pool; 0: what OpenMP takes
  std::vector<std::string> rows;  // "matmul=reference"
};

void add_device_options(OptionTable& options, DeviceOptions& device);

/// Sets the threads and finds the device. Throws kernels::Error naming the choices.
kernels::Device open_device(const DeviceOptions& options);

/// Forces the rows on a stream. Throws UsageError listing the kernels, or the rows of the kernel on the stream's
/// device.
void force_rows(kernels::Stream& stream, const DeviceOptions& options);

}  // namespace apps
