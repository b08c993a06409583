// The JSON of a run.
#pragma once

#include <string>
#include <vector>

#include "bench/ceilings.h"
#include "bench/contest.h"
#include "engine/json.h"

namespace bench {

/// What was timed, what refused, and what threw.
void add_results(engine::Json& results, const Work& work, const Contest& contest, const Ceilings& ceilings);
engine::Json to_json(const Ceilings& ceilings);
/// Device, driver, commit, date, machine.
engine::Json origin_of(const Device& device);

}  // namespace bench
