// The options that describe a model: every field of mae::Config, from the one list in mae/config_text.h.
#pragma once

#include "apps/options.h"
#include "engine/json.h"
#include "mae/config.h"
#include "mae/execution.h"

namespace apps {

/// --model sets all fields to those of its preset, and the others override. --image-size takes 224 or 224,160 (height,
/// width). Nothing is validated here: mae::validate does that.
void add_image_size_option(OptionTable& options, mae::Config& config);
void add_model_options(OptionTable& options, mae::Config& config);

/// The type that --dtype names: f64, f32 or bf16.
kernels::DType compute_type(const std::string& name);

/// The switches of mae/execution.h; and as {"embed_kept": true, ...}.
void add_execution_options(OptionTable& options, mae::Execution& execution);
engine::Json execution_json(const mae::Execution& execution);

}  // namespace apps
