// What is said of a file of weights: by whoever reads it, and by a run that begins with it.
#pragma once

#include "engine/json.h"
#include "mae/load_weights.h"

namespace apps {

/// Of a file that is not ours, on stderr: whose names it has, what is in it, and what was taken for granted.
void tell(const mae::Weights& weights);

/// Every tensor by what became of it: {"file": ..., "loaded": [...], "adapted": {name: how}, ...}.
engine::Json report_json(const mae::LoadReport& report);

/// Prints it for people, and adds it to the line of events.jsonl under `key`. Nothing of an empty report.
void tell(const mae::LoadReport& report, engine::Json& line, const char* key);

}  // namespace apps
