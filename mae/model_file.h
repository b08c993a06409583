// Models in files: the config in a checkpoint's metadata under `config.*`, and a model made from one.
#pragma once

#include <memory>
#include <string>

#include "engine/checkpoint.h"
#include "mae/load_weights.h"
#include "mae/model.h"

namespace mae {

engine::Text config_metadata(const Config& config);
/// Throws kernels::Error naming the file and the key that is missing or wrong.
Config config_of(const engine::Checkpoint& checkpoint, const std::string& path);

/// Step and metadata of a checkpoint, or what takes their place of anybody's weights (mae/weights.h). Throws
/// kernels::Error naming the file, also where a size of the model cannot be known from it.
engine::Checkpoint model_metadata(const std::string& path);

/// A model for inference with the weights of a checkpoint, or of any file that mae/weights.h reads and that has encoder
/// and decoder. Throws kernels::Error naming the file.
std::unique_ptr<Model> load_model(kernels::Stream& stream, const std::string& path, kernels::DType compute);
/// The same with a config that differs from the file's in what its tensors do not fix, or in the image size. With a
/// decoder that is optional it is made of an encoder's file, too.
std::unique_ptr<Model> load_model(kernels::Stream& stream, const Weights& weights, const Config& config,
                                  kernels::DType compute, const LoadOptions& options = {});

}  // namespace mae
