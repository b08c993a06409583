#include <fmt/format.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/learning_picture.h"
#include "apps/show_channels.h"
#include "mae/augment.h"
#include "mae/model_file.h"

namespace apps {
namespace {

struct ReconstructOptions {
  std::string checkpoint, out = "strip.png";
  std::vector<std::string> images;
  std::uint32_t seed = 0;
  double mask_ratio = 0;
  std::string orientation = "as_stored";
  std::vector<int> show_channels;
  DeviceOptions device;
};

/// The images as one batch; every one resized and cropped to the model's size. They must share a dtype.
mae::Batch read_images(const ReconstructOptions& o, const mae::Config& config, kernels::DType& dtype) {
  mae::Batch batch;
  for (const std::string& path : o.images) {
    mae::Image image = mae::read_image(path, config.channels);
    if (orientation_named(o.orientation) == mae::Orientation::upright) image = mae::upright(std::move(image));
    if (batch.draws.empty()) dtype = image.dtype;
    if (image.dtype != dtype)
      throw kernels::Error("images of 8 and of 16 bits cannot be mixed", path, "one command for each kind");
    const auto sample = static_cast<std::uint32_t>(batch.labels.size());
    mae::append(batch, std::move(image), config.image_height, config.image_width, sample);
  }
  return batch;
}

}  // namespace

int reconstruct(int argc, char** argv) {
  ReconstructOptions o;
  OptionTable table(
      "reconstruct", "what a pretrained model makes of masked images",
      "mae reconstruct --checkpoint runs/first/checkpoints/checkpoint-0000001170.safetensors dog.jpg --out strip.png");
  table.add("images", o.images, "JPEG or PNG files").positional().must_be_given();
  table.add("checkpoint", o.checkpoint, "a checkpoint with encoder and decoder").shown_as("FILE").must_be_given();
  table
      .add("out", o.out,
           "the picture to write: original, masked, prediction, prediction with the visible patches pasted in")
      .shown_as("FILE");
  add_orientation_option(table, o.orientation);
  table.add("seed", o.seed, "of the mask");
  table.add("mask_ratio", o.mask_ratio, "part of the patches that is masked; 0: as the model was trained");
  add_show_channels_option(table, o.show_channels);
  add_device_options(table, o.device);
  if (!table.parse(argc, argv)) return done;

  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const auto model = mae::load_model(stream, o.checkpoint, kernels::DType::f32);
  mae::Config config = model->config();
  if (o.mask_ratio != 0) config.mask_ratio = o.mask_ratio;
  mae::validate(config);
  const std::vector<int> bands = shown_bands(o.show_channels, config.channels);
  kernels::DType dtype = kernels::DType::u8;
  const mae::Batch batch = read_images(o, config, dtype);
  std::vector<std::string> names;
  for (const std::string& path : o.images) names.push_back(std::filesystem::path(path).filename().string());
  write_strips(o.out, mae::reconstruct(stream, *model, batch, dtype, o.seed, config.keep()), names, bands);
  fmt::print("{}: {} image{}, {} of {} patches visible, seed {}\n", o.out, o.images.size(),
             o.images.size() == 1 ? "" : "s", config.keep(), config.patches(), o.seed);
  return done;
}

}  // namespace apps
