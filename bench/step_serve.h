// What bench/side_by_side.py and bench/flat.py ask `mae bench step` for: --describe and --serve.
#pragma once

#include "bench/training.h"
#include "engine/json.h"

namespace bench {

/// Prints a line of JSON.
void say(const engine::Json& json);

/// After `warm_up` steps a line with "ready" and the members of `about`; for each line "run N" of the input a line of
/// the seconds of N steps; at its end one with the most bytes that were held. Throws kernels::Error for another line.
void serve(Training& training, kernels::Stream& stream, int warm_up, const engine::Json& about);

}  // namespace bench
