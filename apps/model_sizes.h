// A model as measured steps name it: `mae bench step` writes this, `mae plan` looks for it.
#pragma once

#include <string>

#include "engine/json.h"
#include "mae/config.h"

namespace apps {

/// The preset's name, with the sizes of a model that is another one.
std::string model_name(const mae::Config& config);

/// The name and sizes of a model; flops: of a training step, an image, as the official code makes it.
engine::Json model_sizes(const mae::Config& config, std::int64_t parameters);

}  // namespace apps
