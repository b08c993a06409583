// What a data set holds: sizes, values, and the mean and deviation that a model's config wants.
//
//   m_i, v_i   mean and variance of a channel over the pixels of image i, two passes in f64
//   mean       the mean of m_i: an image counts the same whatever its size, as it does in training
//   std        sqrt(mean of v_i + variance of m_i)
//
// Promise: the same bits for any number of workers. Values that are not finite are left out and their images named.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "mae/config.h"
#include "mae/loader.h"

namespace mae {

/// One channel, in pixel values.
struct ChannelValues {
  double images = 0, mean = 0;
  double squares = 0;  // sum of v_i + (m_i - mean)^2
  double smallest = std::numeric_limits<double>::infinity(), largest = -smallest;

  double std() const;  // 0 without images
};

struct Survey {
  std::int64_t images = 0;  // that were read
  std::vector<ChannelValues> channels;
  std::map<std::pair<int, int>, std::int64_t> sizes;  // (height, width) -> images
  std::vector<Damaged> unreadable, not_finite;        // in the order of the samples

  double smallest() const;  // of all channels; 0 without images
  double largest() const;
};

struct SurveyOptions {
  int workers = 0;                                           // threads; 0: one a core
  double seconds = std::numeric_limits<double>::infinity();  // samples not begun by then are left out
  std::function<void(std::int64_t done)> progress{};         // from the caller's thread, a few times a second
};

/// Reads these samples. What cannot be read is part of the answer; anything but a kernels::Error is passed on.
Survey survey(const Dataset& data, std::span<const std::uint32_t> samples, const SurveyOptions& options);

/// What a model of this config is fed: mean and deviation of (x / value_range - config.mean) / config.std, a channel.
struct Normalised {
  double mean = 0, std = 0;
};
std::vector<Normalised> normalised(const Survey& survey, const Config& config);

/// A natural value_range, the pixel value that counts as 1: 255 for u8; for u16 the least of 2^8 - 1 ... 2^16 - 1, and
/// for f32 of 1, 3, 7, ..., that is no less than the largest value. For f32 below 0.05 a power of ten.
double full_scale(kernels::DType dtype, double largest);

}  // namespace mae
