// The config of weights that this program did not write.
#pragma once

#include <string>
#include <vector>

#include "engine/checkpoint.h"

namespace mae {

class Weights;

/// Adds the keys of a checkpoint's metadata, config.* and of a classifier classifier.*, from config.json and
/// preprocessor_config.json beside the file and from the shapes of its tensors. To `notes`, what was taken for granted.
/// Throws kernels::Error naming the file where they contradict each other, or describe no model of ours.
void add_config(const Weights& weights, engine::Text& metadata, std::vector<std::string>& notes);

}  // namespace mae
