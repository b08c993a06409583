#include "apps/pixel_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace apps {
namespace {

constexpr double most_offset = 0.75, most_ratio = 1.5;
constexpr std::int64_t looked_at = 1000;
constexpr double most_seconds = 5;

/// Four significant digits; TOML wants digits behind a point.
std::string digits(double x) {
  std::string text = fmt::format("{:#.4g}", x);
  if (text.ends_with('.')) text += '0';
  return text;
}

struct PixelKeys {
  double value_range;
  std::vector<std::string> mean, std;
  std::vector<std::size_t> constant;  // channels, from 1
};

PixelKeys keys_of(const mae::Survey& survey, kernels::DType dtype) {
  PixelKeys keys{.value_range = mae::full_scale(dtype, survey.largest()), .mean = {}, .std = {}, .constant = {}};
  for (std::size_t c = 0; c < survey.channels.size(); ++c) {
    const mae::ChannelValues& values = survey.channels[c];
    const bool constant = values.std() == 0;
    if (constant) keys.constant.push_back(c + 1);
    keys.mean.push_back(digits(values.mean / keys.value_range));
    keys.std.push_back(digits(constant ? 1 : values.std() / keys.value_range));
  }
  return keys;
}

}  // namespace

std::string pixel_toml(const mae::Survey& survey, kernels::DType dtype) {
  const PixelKeys keys = keys_of(survey, dtype);
  std::string text = fmt::format("channels = {}\nvalue_range = [{}]\nmean = [{}]\nstd = [{}]\n", keys.mean.size(),
                                 keys.value_range, fmt::join(keys.mean, ", "), fmt::join(keys.std, ", "));
  for (std::size_t channel : keys.constant) text += fmt::format("# channel {} holds a single value\n", channel);
  return text;
}

std::string pixel_flags(const mae::Survey& survey, kernels::DType dtype) {
  const PixelKeys keys = keys_of(survey, dtype);
  return fmt::format("--value-range {} --mean={} --std {}", keys.value_range, fmt::join(keys.mean, ","),
                     fmt::join(keys.std, ","));
}

std::optional<kernels::Error> far_from_config(const mae::Survey& survey, const mae::Dataset& data,
                                              const mae::Config& config) {
  const std::vector<mae::Normalised> seen = mae::normalised(survey, config);
  const auto far = [&](std::size_t c) {
    if (survey.channels[c].images == 0) return 0.0;
    const double offset = std::abs(seen[c].mean) / most_offset;
    if (seen[c].std == 0) return offset;
    return std::max(offset, std::abs(std::log(seen[c].std)) / std::log(most_ratio));
  };
  std::size_t worst = 0;
  for (std::size_t c = 1; c < seen.size(); ++c) {
    if (far(c) > far(worst)) worst = c;
  }
  if (seen.empty() || !(far(worst) > 1)) return std::nullopt;
  const std::string channel = seen.size() == 1 ? "" : fmt::format(" in channel {}", worst + 1);
  return kernels::Error(
      fmt::format(
          "the configured mean, std and value range are not those of the images: the model would see{} a mean of "
          "{:.3g} and a deviation of {:.3g} instead of 0 and 1 ({} images looked at)",
          channel, seen[worst].mean, seen[worst].std, survey.images),
      data.path, pixel_flags(survey, data.dtype));
}

mae::Survey survey_of_first(const mae::Dataset& data, std::uint32_t seed) {
  std::vector<std::uint32_t> samples = mae::epoch_order(data.size, seed, 0);
  samples.resize(static_cast<std::size_t>(std::min(data.size, looked_at)));
  return mae::survey(data, samples, {.seconds = most_seconds});
}

}  // namespace apps
