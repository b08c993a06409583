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
/// With `init_file`, --init takes the name of a file of weights, too, which goes there.
void add_model_options(OptionTable& options, mae::Config& config, std::string* init_file = nullptr);
/// Those of them that a file of others' weights may not say, or that a model may be given anew.
void add_stated_options(OptionTable& options, mae::Config& config);
/// --interpolation: "grid" or "transformers".
void add_interpolation_option(OptionTable& options, std::string& interpolation);

/// The type that --dtype names: f64, f32 or bf16.
kernels::DType compute_type(const std::string& name);

/// The switches of mae/execution.h; and as {"embed_kept": true, ...}.
void add_execution_options(OptionTable& options, mae::Execution& execution);
engine::Json execution_json(const mae::Execution& execution);

}  // namespace apps
