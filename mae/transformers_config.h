// config.json and preprocessor_config.json of Hugging Face's transformers, for a model of ours.
#pragma once

#include <string>

#include "engine/json.h"
#include "mae/classifier.h"

namespace mae {

struct TransformersModel {
  std::string prefix;  // of the encoder's names
  engine::Json config, preprocessor;
};

/// ViTMAEForPreTraining; of an encoder without decoder ViTMAEModel; of a classifier, null where there is none,
/// ViTForImageClassification. Throws kernels::Error naming `path` where those models cannot be what ours is, and why.
TransformersModel transformers_model(const Config& config, const ClassifierConfig* classifier, bool decoder,
                                     const std::string& path);

}  // namespace mae
