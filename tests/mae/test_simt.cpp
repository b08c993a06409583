// labels: simt slow
// Pretraining on the simt device: the CUDA kernels train the model that the CPU trains.
#include "tests/support/tiny_training.h"

#include "kernels/masking.h"

using namespace test;

namespace {

mae::Config small_config() {
  mae::Config c = tiny_config();
  c.image_height = c.image_width = 28;
  c.dim = c.decoder_dim = 64;
  c.heads = c.decoder_heads = 2;
  c.decoder_depth = 2;  // a first block and a last one
  return c;
}

struct Trained {
  std::vector<double> losses, norms;
};

Trained train(const kernels::Device& device, const mae::Recipe& recipe, DType compute, int steps,
              const mae::Execution& execution = {}) {
  kernels::Stream stream(device);
  const mae::Config config = small_config();
  const mae::Dataset data = made_up_data(64, config, DType::u8);
  mae::Loader loader(data, loader_options(config, recipe));
  mae::Pretraining pretraining(stream, config,
                               {.recipe = recipe,
                                .compute = compute,
                                .pixels = data.dtype,
                                .steps_per_epoch = loader.steps_per_epoch(),
                                .replay = engine::Replay::yes},
                               execution);
  Trained trained;
  for (int s = 0; s < steps; ++s) {
    const engine::StepResult result = pretraining.training().step(loader.get(s));
    trained.losses.push_back(result.loss);
    trained.norms.push_back(result.gradient_norm);
  }
  return trained;
}

/// The recipe's base learning rate and warm-up, on a batch of 4.
mae::Recipe small_recipe() {
  mae::Recipe r;
  r.batch = 4;
  r.epochs = 4;
  r.warmup_epochs = 1;
  return r;
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, double bound) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("step " << i << ": " << a[i] << " against " << b[i]);
    CHECK(std::abs(a[i] - b[i]) <= bound * std::abs(b[i]));
  }
}

}  // namespace

TEST_CASE("20 steps on simt and on the CPU, all trims and fusions on, have the losses of the official order in f64") {
  const kernels::Device cpu = kernels::find_device("cpu");
  const Trained exact = train(cpu, small_recipe(), DType::f64, 20, mae::plain_execution());
  const Trained on_cpu = train(cpu, small_recipe(), DType::f32, 20);
  check_close(on_cpu.losses, exact.losses, 1e-5);
  check_close(on_cpu.norms, exact.norms, 1e-3);
  if constexpr (kernels::with_simt) {
    const Trained simt = train(kernels::find_device("simt"), small_recipe(), DType::f32, 20);
    check_close(simt.losses, on_cpu.losses, 1e-5);
    check_close(simt.losses, exact.losses, 1e-5);
    check_close(simt.norms, on_cpu.norms, 1e-3);
  }
}

TEST_CASE("bf16 on simt is close to bf16 on the CPU, and accumulation to the whole batch") {
  if constexpr (kernels::with_simt) {
    mae::Recipe recipe = small_recipe();
    const Trained cpu = train(kernels::find_device("cpu"), recipe, DType::bf16, 2);
    recipe.micro_batch = 2;
    recipe.optimizer.max_norm = 0.02;
    const Trained simt = train(kernels::find_device("simt"), recipe, DType::bf16, 2);
    check_close(simt.losses, cpu.losses, 1e-2);
    check_close(simt.norms, cpu.norms, 3e-2);
  }
}

TEST_CASE("masks of simt are those of the CPU, to the bit") {
  if constexpr (kernels::with_simt) {
    std::vector<std::vector<std::byte>> ranks;
    const std::vector<std::uint32_t> draws{0, 0, 7, 3, 60'000, 799};
    for (const char* name : {"cpu", "simt"}) {
      kernels::Stream stream(kernels::find_device(name));
      engine::Buffer in(stream.device(), draws.size() * 4), rank(stream.device(), 3 * 196 * 4);
      stream.copy(in.data(), draws.data(), draws.size() * 4);
      const View table = rank.view(DType::i32, {3, 196});
      engine::Buffer order(stream.device(), rank.bytes());
      launch(
          stream,
          kernels::MaskRanks{
              .draws = in.view(DType::u32, {3, 2}), .rank = table, .ids = order.view(DType::i32, {3, 196}), .seed = 5});
      ranks.push_back(bits(table));
    }
    CHECK((ranks[0] == ranks[1]));
  }
}
