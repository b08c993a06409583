#include <fmt/format.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/initial_weights.h"
#include "apps/learning_picture.h"
#include "apps/model_options.h"
#include "apps/output_file.h"
#include "apps/show_channels.h"
#include "apps/table.h"
#include "engine/safetensors.h"
#include "mae/augment.h"
#include "mae/model_file.h"
#include "mae/noise.h"
#include "mae/reconstruct.h"

namespace apps {
namespace {

struct ReconstructOptions {
  std::string checkpoint, out = "strip.png", noise, values, dtype = "f32", interpolation = "grid";
  std::vector<std::string> images;
  std::uint32_t seed = 0;
  mae::Config config;
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

/// Everything under the names that transformers gives to it: logits, mask, ids_restore, hidden_states.I, loss.
void write_values(const std::string& path, const mae::ModelOutputs& m, const ReconstructOptions& o) {
  const kernels::DType f64 = kernels::DType::f64;
  std::vector<double> mask;
  for (std::int64_t n = 0; n < m.images; ++n)
    for (std::int64_t l = 0; l < m.patches; ++l) mask.push_back(m.visible(n, l) ? 0 : 1);
  const std::vector<std::int64_t> tokens{m.images, 1 + m.keep, m.dim}, patches{m.images, m.patches, m.values};
  std::vector<engine::TensorToWrite> tensors{{"logits", f64, patches, m.predicted.data()},
                                             {"target", f64, patches, m.target.data()},
                                             {"latent", f64, tokens, m.latent.data()},
                                             {"mask", f64, {m.images, m.patches}, mask.data()},
                                             {"ids_restore", kernels::DType::i32, {m.images, m.patches}, m.rank.data()},
                                             {"loss", f64, {1}, &m.loss}};
  for (std::size_t i = 0; i < m.hidden_states.size(); ++i)
    tensors.emplace_back(fmt::format("hidden_states.{}", i), f64, tokens, m.hidden_states[i].data());
  engine::write_safetensors(path, {{"checkpoint", o.checkpoint}, {"computed_in", o.dtype}}, tensors);
}

void add_options(OptionTable& table, ReconstructOptions& o) {
  table.add("images", o.images, "JPEG or PNG files").positional().must_be_given();
  table.add("checkpoint", o.checkpoint, "weights of an encoder and its decoder: ours, official, or of Hugging Face")
      .shown_as("FILE")
      .must_be_given();
  table.on_key("checkpoint", [&o] {
    const mae::Weights weights(o.checkpoint);
    o.config = mae::config_of(weights.checkpoint(), o.checkpoint);
  });
  table
      .add("out", o.out,
           "the picture to write: original, masked, prediction, prediction with the visible patches pasted in")
      .shown_as("FILE");
  table
      .add("values", o.values,
           "write the numbers to this file too: logits, loss, mask, latent and hidden states, target, in f64")
      .shown_as("SAFETENSORS");
  add_orientation_option(table, o.orientation);
  table.add("seed", o.seed, "of the mask");
  table
      .add(
          "noise", o.noise,
          "masks of the reference instead: patches sorted by the noise of torch.rand after manual_seed, torch:SEED, or "
          "by that of a .npy file (images, patches)")
      .shown_as("torch:SEED|NPY");
  add_show_channels_option(table, o.show_channels);
  table.add("dtype", o.dtype, "of the computation").one_of({"f32", "f64"});
  add_interpolation_option(table, o.interpolation);
  add_device_options(table, o.device);
  add_stated_options(table, o.config);
}

}  // namespace

int reconstruct(int argc, char** argv) {
  ReconstructOptions o;
  OptionTable table(
      "reconstruct", "what a pretrained model makes of masked images",
      "mae reconstruct --checkpoint runs/first/checkpoints/checkpoint-0000001170.safetensors dog.jpg --out strip.png");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  const mae::Config& config = o.config;
  const mae::Weights weights(o.checkpoint);
  tell(weights);
  mae::require_known(config, o.checkpoint);
  mae::validate(config);
  check_output_file("--values", o.values);
  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const std::vector<int> bands = shown_bands(o.show_channels, config.channels);
  mae::MaskSource masks{.seed = o.seed};
  if (!o.noise.empty())
    masks.noise = mae::read_noise(o.noise, static_cast<std::int64_t>(o.images.size()), config.patches());
  const auto model = mae::load_model(stream, weights, config, compute_type(o.dtype),
                                     {.interpolation = mae::interpolation_named(o.interpolation)});
  kernels::DType dtype = kernels::DType::u8;
  const mae::Batch batch = read_images(o, config, dtype);
  std::vector<std::string> names;
  for (const std::string& path : o.images) names.push_back(std::filesystem::path(path).filename().string());
  const mae::ModelOutputs outputs = mae::model_outputs(stream, *model, batch, dtype, masks);
  write_strips(o.out, mae::reconstruction(config, outputs), names, bands);
  if (!o.values.empty()) write_values(o.values, outputs, o);
  fmt::print("{}: {} image{}, {} of {} patches visible, {}, loss {:.4f}\n", o.out, o.images.size(),
             o.images.size() == 1 ? "" : "s", config.keep(), config.patches(),
             o.noise.empty() ? fmt::format("seed {}", o.seed) : printable(o.noise), outputs.loss);
  return done;
}

}  // namespace apps
