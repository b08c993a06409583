// Features of a frozen encoder, for probes: every patch visible, no mask.
#pragma once

#include <cstdint>

#include "mae/classifier.h"
#include "mae/dataset.h"
#include "mae/model.h"
#include "mae/probe.h"

namespace mae {

/// (samples, dim) f32, of tokens after the encoder's final norm. Images are taken in order, resized and centre-cropped
/// where their size differs from the model's. progress(done) is called now and then. Throws for an image that cannot be
/// read.
Features encoder_features(kernels::Stream& stream, const Model& model, const Dataset& data, Pooling pooling,
                          const std::function<void(std::int64_t)>& progress = {});

/// (samples, dim) f32: what the head of a classifier sees; images as in its evaluation.
Features encoder_features(kernels::Stream& stream, const Classifier& classifier, const Dataset& data,
                          const std::function<void(std::int64_t)>& progress = {});

/// The pixels themselves, which the probe standardises: the baseline that needs no model. (samples, height * width * C)
Features pixel_features(const Dataset& data, int height, int width);

}  // namespace mae
