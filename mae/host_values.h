// Values of a device's tensors on the host.
#pragma once

#include <vector>

#include "kernels/core/stream.h"

namespace mae {

/// f64, whatever the view's floating type, row behind row. Waits for the stream.
std::vector<double> host_values(kernels::Stream& stream, const kernels::View& view);

}  // namespace mae
