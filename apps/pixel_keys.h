// The keys of a config that describe pixels (channels, value_range, mean, std): what a survey of the data says they
// should be, and whether those of a config are far off.
#pragma once

#include <optional>
#include <string>

#include "kernels/core/check.h"
#include "mae/survey.h"

namespace apps {

/// Four lines of TOML, and, for a channel of one single value, a remark: its std is 1, since 0 cannot be divided by.
std::string pixel_toml(const mae::Survey& survey, kernels::DType dtype);

/// The same for a command line, without the channels: "--value-range 255 --mean 0.2860 --std 0.3530"
std::string pixel_flags(const mae::Survey& survey, kernels::DType dtype);

/// The warning where what the model is fed has, in a channel, a mean beyond +-0.75 or a deviation outside 2/3 to 3/2;
/// 0 and 1 are meant. ImageNet's constants leave sets of photographs inside (docs/data.md has figures), Fashion-MNIST
/// and wrong units outside. Channels of one single value have no deviation to compare.
std::optional<kernels::Error> far_from_config(const mae::Survey& survey, const mae::Dataset& data,
                                              const mae::Config& config);

/// A survey of the first 1,000 samples that a run with this seed trains on, one thread a core, in at most 5 seconds.
mae::Survey survey_of_first(const mae::Dataset& data, std::uint32_t seed);

}  // namespace apps
