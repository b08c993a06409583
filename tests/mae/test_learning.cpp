// labels: slow
// Training learns: tens of steps, for their numbers alone.
#include "tests/support/tiny_training.h"

using namespace test;

namespace {

double mean_loss(const TrainedModel& t, std::size_t from, std::size_t to) {
  double sum = 0;
  for (std::size_t i = from; i < to; ++i) sum += t.losses[i];
  return sum / static_cast<double>(to - from);
}

}  // namespace

TEST_CASE("the loss falls, in f64, f32 and bf16") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(256, config, DType::u8);
  for (const DType compute : {DType::f64, DType::f32, DType::bf16}) {
    const TrainedModel t = train_model(config, tiny_recipe(32, 8), data, 60, compute);
    INFO(kernels::name_of(compute) << ": " << mean_loss(t, 0, 5) << " -> " << mean_loss(t, 55, 60));
    CHECK(mean_loss(t, 55, 60) < 0.5 * mean_loss(t, 0, 5));
  }
}

TEST_CASE("thirteen channels of 16 bits, not square, normalised pixels") {
  mae::Config config = tiny_config();
  config.image_height = 12;
  config.image_width = 20;
  config.channels = 13;
  config.value_range = {65535};
  config.norm_pix = true;
  const TrainedModel t = train_model(config, tiny_recipe(32, 12), made_up_data(128, config, DType::u16), 48);
  INFO(mean_loss(t, 0, 4) << " -> " << mean_loss(t, 44, 48));
  CHECK(t.losses[0] > 0.8);  // a normalised target has variance 1
  CHECK(mean_loss(t, 44, 48) < 0.7 * mean_loss(t, 0, 4));
}

TEST_CASE("the structural options of the small-scale recipe train") {
  mae::Config config = tiny_config();
  config.patch = 2;
  config.decoder_dim = config.dim;
  config.decoder_heads = config.heads;
  config.qkv_bias = config.decoder_embed = config.decoder_norm = false;
  config.ln_eps = 1e-5;
  config.positions = mae::Positions::learned;
  config.patch_order = kernels::PatchOrder::channel_row_column;
  config.init = mae::Init::pytorch;
  config.decay = mae::DecayRule::all;
  const TrainedModel t = train_model(config, tiny_recipe(32, 8), made_up_data(128, config, DType::u8), 32);
  CHECK(mean_loss(t, 28, 32) < 0.7 * mean_loss(t, 0, 4));
}
