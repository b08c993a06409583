// Weights of any file that is read here, written for other programs: no value is touched, unless the model is to have
// another image size.
#pragma once

#include <string>

#include "mae/load_weights.h"

namespace mae {

/// official: the state dict of He et al.'s code, .safetensors (then also a checkpoint of ours) or .pth.
/// transformers: a folder with model.safetensors, config.json and preprocessor_config.json, as from_pretrained takes
/// it: ViTMAEForPreTraining, of an encoder alone ViTMAEModel, of a classifier ViTForImageClassification.
/// timm: official names without the decoder, which timm would take for a sign of DINOv2; of a classifier with its head.
enum class WeightFormat { official, transformers, timm };

/// Of a checkpoint that keeps an average of its weights, that is written: it is what is evaluated.
/// `config`: of the model that is written, the weights' own or one of another image size. Atomically, file by file.
/// Returns what became of the tensors; those without a value in the file are not written. Throws kernels::Error naming
/// the file, or what the other program's model cannot be.
LoadReport convert(Weights weights, const Config& config, WeightFormat format, const std::string& out,
                   Interpolation interpolation = Interpolation::grid);

}  // namespace mae
