// A file that a command is to write at its end.
#pragma once

#include <string>

#include "engine/json.h"

namespace apps {

/// Refuses a name that could not be written, before the work begins; `flag` named it. An empty name is fine.
void check_output_file(const std::string& flag, const std::string& path);

/// Whether a file or folder, which need not exist, is `folder` or lies below it. False for an empty `folder`.
bool lies_in(const std::string& path, const std::string& folder);

/// One line.
void write_json(const std::string& path, const engine::Json& json);

}  // namespace apps
