// What bench/side_by_side.py and bench/flat.py ask `mae bench step` for: --describe and --serve.
#pragma once

#include <string>

#include "bench/training.h"
#include "engine/json.h"

namespace bench {

/// The preset's name, with the sizes of a model that is another one.
std::string name_of(const mae::Config& config);
/// The sizes of a model; flops: of a training step, an image, as the official code makes it.
engine::Json description(const mae::Config& config, std::int64_t parameters);

/// Prints a line of JSON.
void say(const engine::Json& json);

/// After `warm_up` steps a line with "ready" and the members of `about`; for each line "run N" of the input a line of
/// the seconds of N steps; at its end one with the most bytes that were held. Throws kernels::Error for another line.
void serve(Training& training, kernels::Stream& stream, int warm_up, const engine::Json& about);

}  // namespace bench
