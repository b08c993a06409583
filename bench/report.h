// The table on the screen and the JSON beside it.
#pragma once

#include <string>
#include <vector>

#include "bench/ceilings.h"
#include "bench/contest.h"
#include "engine/json.h"

namespace bench {

std::string table_head();
/// A line for each row that was timed, or that failed.
std::string table_lines(const Work& work, const Contest& contest, const Ceilings& ceilings);

/// What was timed, what refused, and what threw.
void add_results(engine::Json& results, const Work& work, const Contest& contest, const Ceilings& ceilings);
engine::Json to_json(const Ceilings& ceilings);
/// Device, driver, commit, date, machine.
engine::Json origin_of(const Device& device);

/// A whole file or none: written beside, then renamed.
void write_json(const std::string& path, const engine::Json& json);

}  // namespace bench
