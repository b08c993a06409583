#include "mae/reconstruct.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace mae {
namespace {

constexpr float grey = 0.5f;
constexpr double norm_pix_eps = 1e-6;

/// Predictions in the units of the target.
std::vector<double> without_norm_pix(const ModelOutputs& o) {
  std::vector<double> predicted = o.predicted;
  const auto n = static_cast<std::size_t>(o.values);
  for (std::size_t at = 0; at < o.target.size(); at += n) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < n; ++i) mean += o.target[at + i];
    mean /= static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) variance += (o.target[at + i] - mean) * (o.target[at + i] - mean);
    const double deviation =
        std::sqrt(variance / static_cast<double>(n - 1) + norm_pix_eps);  // unbiased, as in training
    for (std::size_t i = 0; i < n; ++i) predicted[at + i] = predicted[at + i] * deviation + mean;
  }
  return predicted;
}

/// Calls body(patch element, pixel element, patch, channel) for every value of one image.
template <class F>
void for_each_value(const Config& c, F&& body) {
  const int P = c.patch;
  for (int y = 0; y < c.image_height; ++y) {
    for (int x = 0; x < c.image_width; ++x) {
      const std::int64_t patch = (y / P) * c.columns() + x / P, row = y % P, column = x % P;
      for (int channel = 0; channel < c.channels; ++channel) {
        const std::int64_t inside = c.patch_order == kernels::PatchOrder::row_column_channel
                                        ? (row * P + column) * c.channels + channel
                                        : (channel * P + row) * P + column;
        body(patch * c.patch_values() + inside, (std::int64_t{y} * c.image_width + x) * c.channels + channel, patch,
             channel);
      }
    }
  }
}

struct Sides {
  int height, width, channels;
};

/// Pixels (height, width, channels), of which value_range counts as white.
template <class T>
Image picture(std::span<const T> pixels, const Sides& sides, const std::vector<int>& bands, double value_range) {
  Image image = make_image(sides.height, sides.width, static_cast<int>(bands.size()), kernels::DType::u8);
  auto* out = image.as<std::uint8_t>();
  for (std::size_t at = 0; at < pixels.size(); at += static_cast<std::size_t>(sides.channels)) {
    for (int band : bands) {
      const double value = static_cast<double>(pixels[at + static_cast<std::size_t>(band)]) / value_range;
      *out++ = static_cast<std::uint8_t>(std::lround(255 * (std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 0)));
    }
  }
  return image;
}

}  // namespace

Reconstruction reconstruction(const Config& c, const ModelOutputs& o) {
  const std::vector<double> all_predicted = c.norm_pix ? without_norm_pix(o) : o.predicted;
  Reconstruction r{.count = o.images,
                   .height = c.image_height,
                   .width = c.image_width,
                   .channels = c.channels,
                   .original = {},
                   .masked = {},
                   .predicted = {},
                   .pasted = {}};
  const std::int64_t image = std::int64_t{c.image_height} * c.image_width * c.channels;
  for (auto* values : {&r.original, &r.masked, &r.predicted, &r.pasted})
    values->resize(static_cast<std::size_t>(r.count * image));
  const auto of = [](const std::vector<double>& v, int channel) {
    return v.size() == 1 ? v[0] : v[static_cast<std::size_t>(channel)];
  };
  for (std::int64_t n = 0; n < r.count; ++n) {
    for_each_value(c, [&](std::int64_t from, std::int64_t to, std::int64_t patch, int channel) {
      const auto source = static_cast<std::size_t>(n * o.patches * o.values + from),
                 pixel = static_cast<std::size_t>(n * image + to);
      const auto shown = [&](const std::vector<double>& values) {
        return static_cast<float>(values[source] * of(c.std, channel) + of(c.mean, channel));
      };
      const float original = shown(o.target), predicted = shown(all_predicted);
      const bool visible = o.visible(n, patch);
      r.original[pixel] = original;
      r.masked[pixel] = visible ? original : grey;
      r.predicted[pixel] = predicted;
      r.pasted[pixel] = visible ? original : predicted;
    });
  }
  return r;
}

Image picture(const Reconstruction& r, const std::vector<float>& values, std::int64_t index,
              const std::vector<int>& bands) {
  const std::size_t size =
      static_cast<std::size_t>(r.height) * static_cast<std::size_t>(r.width) * static_cast<std::size_t>(r.channels);
  const std::span pixels(values.data() + static_cast<std::size_t>(index) * size, size);
  return picture(pixels, {r.height, r.width, r.channels}, bands, 1);
}

Image picture(const Image& image, const std::vector<int>& bands, double value_range) {
  return with_pixels(image, [&](auto pixels) {
    return picture(pixels, {image.height, image.width, image.channels}, bands, value_range);
  });
}

std::vector<int> default_bands(int channels) { return channels >= 3 ? std::vector<int>{0, 1, 2} : std::vector<int>{0}; }

}  // namespace mae
