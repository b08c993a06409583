// mae bench step: whole training steps of a model, timed one by one.
#pragma once

namespace bench {

/// argv[0] is "step". Returns what the program does; throws kernels::Error.
int run_step(int argc, char** argv);

}  // namespace bench
