// `mae bench kernels`: every kernel, row, shape and type on a device, timed beside the least time that the machine
// allows. docs/benchmarking.md says how, and what the columns mean.
#pragma once

namespace bench {

/// 1 where a row was wrong or threw, else 0. Throws Error for options that cannot be, before anything is timed.
int run_kernels(int argc, char** argv);

}  // namespace bench
