// --init and --checkpoint: what a run says of the file of weights that it begins with.
#pragma once

#include "engine/json.h"
#include "mae/load_weights.h"

namespace apps {

/// Every tensor by what became of it: {"file": ..., "loaded": [...], "adapted": {name: how}, ...}.
engine::Json report_json(const mae::LoadReport& report);

/// Prints it for people, and adds it to the line of events.jsonl under `key`. Nothing of an empty report.
void tell(const mae::LoadReport& report, engine::Json& line, const char* key);

}  // namespace apps
