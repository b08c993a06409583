// One launch for a profiler to look at.
#pragma once

#include <string>

#include "bench/work.h"

namespace bench {

/// A few launches of the row to warm up, then one on operands that no cache holds; on a GPU between cudaProfilerStart
/// and cudaProfilerStop. Throws Error where the row refuses.
void run_once(const Work& work, const Device& device, const std::string& row);

}  // namespace bench
