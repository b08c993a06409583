// A model small enough for every test, and made-up images for it.
#pragma once

#include "mae/pretraining.h"
#include "tests/support/session.h"

namespace test {

inline mae::Config tiny_config() {
  mae::Config c;
  c.preset = "custom";
  c.image_height = c.image_width = 16;
  c.channels = 1;
  c.patch = 4;
  c.mean = {0.5};
  c.std = {0.25};
  c.value_range = {255};
  c.dim = 32;
  c.depth = 2;
  c.heads = 2;
  c.decoder_dim = 24;
  c.decoder_depth = 2;  // a first block and a last one
  c.decoder_heads = 3;
  return c;
}

/// Smooth random images: something that can be learnt. (n, height, width, channels) of `dtype`.
inline mae::Dataset made_up_data(std::int64_t n, const mae::Config& c, DType dtype) {
  mae::Dataset data;
  data.path = "made up";
  data.format = "made up";
  data.size = n;
  data.channels = c.channels;
  data.height = c.image_height;
  data.width = c.image_width;
  data.dtype = dtype;
  data.fingerprint = 1;
  data.label = [](std::int64_t i) { return static_cast<int>(i % 10); };
  data.image = [c, dtype](std::int64_t i) {
    mae::Image image = mae::make_image(c.image_height, c.image_width, c.channels, dtype);
    const auto w = kernels::philox({static_cast<std::uint32_t>(i), 0, 0, 0},
                                   {9, static_cast<std::uint32_t>(kernels::Purpose::test)});
    std::size_t at = 0;
    for (int y = 0; y < c.image_height; ++y) {
      for (int x = 0; x < c.image_width; ++x) {
        for (int channel = 0; channel < c.channels; ++channel, ++at) {
          const double phase = 6 * kernels::uniform(w.w[2]) + channel, a = 0.3 * kernels::uniform(w.w[0]),
                       b = 0.3 * kernels::uniform(w.w[1]);
          const double value = 0.5 + 0.45 * std::sin(a * x + b * y + phase);
          if (dtype == DType::u8) image.as<std::uint8_t>()[at] = static_cast<std::uint8_t>(255 * value);
          if (dtype == DType::u16) image.as<std::uint16_t>()[at] = static_cast<std::uint16_t>(65535 * value);
          if (dtype == DType::f32) image.as<float>()[at] = static_cast<float>(value);
        }
      }
    }
    return image;
  };
  return data;
}

inline mae::Recipe tiny_recipe(std::int64_t batch, double epochs) {
  mae::Recipe r;
  r.batch = batch;
  r.blr = 4e-2;
  r.epochs = epochs;
  r.warmup_epochs = 1;
  r.seed = 3;
  return r;
}

inline mae::LoaderOptions loader_options(const mae::Config& c, const mae::Recipe& r) {
  return {.seed = r.seed,
          .batch = r.batch,
          .part = r.part(),
          .height = c.image_height,
          .width = c.image_width,
          .workers = 1};
}

inline std::vector<std::byte> bits(const View& flat) {
  const auto* bytes = static_cast<const std::byte*>(flat.data);
  return {bytes, bytes + static_cast<std::size_t>(flat.shape.count()) * kernels::size_of(flat.dtype)};
}

/// A pretraining that is done.
struct TrainedModel {
  std::vector<double> losses;
  std::vector<std::byte> weights;
};

inline TrainedModel train_model(const mae::Config& config, const mae::Recipe& recipe, const mae::Dataset& data,
                                int steps, DType compute = DType::f32) {
  kernels::Stream stream(kernels::devices().front());
  mae::Loader loader(data, loader_options(config, recipe));
  mae::Pretraining pretraining(
      stream, config,
      {.recipe = recipe, .compute = compute, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
  TrainedModel result;
  for (int s = 0; s < steps; ++s) result.losses.push_back(pretraining.training().step(loader.get(s)).loss);
  result.weights = bits(pretraining.model().parameters().master());
  return result;
}

}  // namespace test
