// labels: simt slow
// Fine-tuning and the linear probe by the CUDA kernels, on simt and, where there is one, on a GPU: they train the
// classifier that the CPU trains.
#include "tests/support/tiny_finetuning.h"

using namespace test;

namespace {

struct Outcome {
  std::vector<double> losses, norms, scores;
};

Outcome train(const char* device, mae::FinetuningOptions options, mae::Recipe recipe, DType compute = DType::f32,
              int steps = 4) {
  options.classifier.encoder.dim = 64;
  const mae::Dataset data = labelled_data(32, options.classifier.encoder),
                     others = labelled_data(3, options.classifier.encoder);
  TinyRun run(options, recipe, data, compute, kernels::find_device(device));
  Outcome trained{.losses = run.steps(steps), .norms = run.norms, .scores = {}};  // replayed from the third on
  trained.scores = run.finetuning.evaluate(others).logits;
  return trained;
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, double bound) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("step " << i << ": " << a[i] << " against " << b[i]);
    CHECK(std::abs(a[i] - b[i]) <= bound * std::abs(b[i]));
  }
}

std::vector<const char*> gpu_devices() {
  std::vector<const char*> devices;
  if (kernels::with_simt) devices.push_back("simt");
  for (const kernels::Device& d : kernels::devices()) {
    if (d.kind == kernels::DeviceKind::cuda && (devices.empty() || devices.back() != std::string("cuda")))
      devices.push_back("cuda");
  }
  return devices;
}

mae::Recipe short_recipe(mae::Recipe recipe) {
  recipe.blr /= 10;  // the recipe's is for more than four steps
  recipe.epochs = 4;
  return recipe;
}

}  // namespace

TEST_CASE("four steps of fine-tuning with all that is drawn, by the CUDA kernels and on the CPU") {
  mae::FinetuningOptions options = tiny_options();
  options.ema = 0.5;
  const mae::Recipe recipe = short_recipe(finetuning_recipe(8, 4));
  const Outcome cpu = train("cpu", options, recipe);
  for (const char* device : gpu_devices()) {
    INFO(device);
    const Outcome gpu = train(device, options, recipe);
    check_close(gpu.losses, cpu.losses, 1e-5);
    check_close(gpu.norms, cpu.norms, 1e-3);
    CHECK(distance(gpu.scores, cpu.scores) <= 1e-3);
    const Outcome coarse = train(device, options, recipe, DType::bf16, 2);
    check_close(coarse.losses, cpu.losses, 2e-2);
  }
}

TEST_CASE("four steps of the linear probe, by LARS, by the CUDA kernels and on the CPU") {
  const mae::Recipe recipe = short_recipe(probe_recipe(8));
  const Outcome cpu = train("cpu", probe_options(), recipe);
  for (const char* device : gpu_devices()) {
    INFO(device);
    const Outcome gpu = train(device, probe_options(), recipe);
    check_close(gpu.losses, cpu.losses, 1e-5);
    check_close(gpu.norms, cpu.norms, 1e-3);
    CHECK(distance(gpu.scores, cpu.scores) <= 1e-3);
  }
}
