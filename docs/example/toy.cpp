// Trains a toy Masked Autoencoder on made-up images of waves, and says how the loss falls.
#include <cmath>
#include <cstdio>

#include "mae/pretraining.h"

namespace {

mae::Config toy_config() {
  mae::Config c;
  c.image_height = c.image_width = 16;
  c.channels = 1;
  c.patch = 4;
  c.mean = {0.5};
  c.std = {0.25};
  c.dim = c.decoder_dim = 32;
  c.depth = c.decoder_depth = 2;
  c.heads = c.decoder_heads = 2;
  return c;
}

mae::Dataset waves(const mae::Config& c, std::int64_t size) {
  mae::Dataset data{.path = "waves", .format = "made up"};
  data.size = size;
  data.channels = c.channels;
  data.height = c.image_height;
  data.width = c.image_width;
  data.dtype = kernels::DType::u8;
  data.image = [c](std::int64_t i) {
    mae::Image image = mae::make_image(c.image_height, c.image_width, c.channels, kernels::DType::u8);
    for (int y = 0; y < c.image_height; ++y)
      for (int x = 0; x < c.image_width; ++x)
        image.as<std::uint8_t>()[y * c.image_width + x] = static_cast<std::uint8_t>(127.5 + 127 * std::sin(0.3 * x + 0.02 * i * y + i));
    return image;
  };
  return data;
}

}  // namespace

int main() {
  const mae::Config config = toy_config();
  const mae::Dataset data = waves(config, 512);
  mae::Recipe recipe{.batch = 32, .blr = 2e-2, .epochs = 20, .warmup_epochs = 1};
  mae::Loader loader(data, {.batch = recipe.batch, .height = config.image_height, .width = config.image_width});
  kernels::Stream stream(kernels::devices().front());
  mae::Pretraining pretraining(stream, config, {.recipe = recipe, .steps_per_epoch = loader.steps_per_epoch()});
  double first = 0, last = 0;
  for (std::int64_t step = 0; step < pretraining.training().total(); ++step) {
    last = pretraining.training().step(loader.get(step)).loss;
    if (step == 0) first = last;
    if (step % 40 == 0) std::printf("step %3d  loss %.4f\n", static_cast<int>(step), last);
  }
  std::printf("loss %.4f -> %.4f\n", first, last);
  return last < 0.7 * first ? 0 : 1;
}
