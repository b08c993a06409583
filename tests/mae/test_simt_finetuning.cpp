// labels: simt slow
// Fine-tuning and the linear probe on the simt device: the CUDA kernels train the classifier that the CPU trains.
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

mae::Recipe short_recipe(mae::Recipe recipe) {
  recipe.blr /= 10;  // the recipe's is for more than four steps
  recipe.epochs = 4;
  return recipe;
}

}  // namespace

TEST_CASE("four steps of fine-tuning with all that is drawn, on simt and on the CPU") {
  if constexpr (kernels::with_simt) {
    mae::FinetuningOptions options = tiny_options();
    options.ema = 0.5;
    const mae::Recipe recipe = short_recipe(finetuning_recipe(8, 4));
    const Outcome cpu = train("cpu", options, recipe), simt = train("simt", options, recipe);
    check_close(simt.losses, cpu.losses, 1e-5);
    check_close(simt.norms, cpu.norms, 1e-3);
    CHECK(distance(simt.scores, cpu.scores) <= 1e-3);
    const Outcome coarse = train("simt", options, recipe, DType::bf16, 2);
    check_close(coarse.losses, cpu.losses, 2e-2);
  }
}

TEST_CASE("four steps of the linear probe, by LARS, on simt and on the CPU") {
  if constexpr (kernels::with_simt) {
    const mae::Recipe recipe = short_recipe(probe_recipe(8));
    const Outcome cpu = train("cpu", probe_options(), recipe), simt = train("simt", probe_options(), recipe);
    check_close(simt.losses, cpu.losses, 1e-5);
    check_close(simt.norms, cpu.norms, 1e-3);
    CHECK(distance(simt.scores, cpu.scores) <= 1e-3);
  }
}
