// Fine-tuning small enough for every test, on made-up images whose class can be seen.
#pragma once

#include "engine/safetensors.h"
#include "mae/finetuning.h"
#include "tests/support/tiny_training.h"

namespace test {

/// Three classes by the phase of the wave.
inline mae::Dataset labelled_data(std::int64_t n, const mae::Config& c, DType dtype = DType::u8) {
  mae::Dataset data = made_up_data(n, c, dtype);
  data.classes = {"low", "middle", "high"};
  data.label = [](std::int64_t i) {
    const auto w = kernels::philox({static_cast<std::uint32_t>(i), 0, 0, 0},
                                   {9, static_cast<std::uint32_t>(kernels::Purpose::test)});
    return static_cast<int>(3 * kernels::uniform(w.w[2]));
  };
  return data;
}

/// Everything on: mixing, erasing, drop path, layer decay.
inline mae::FinetuningOptions tiny_options() {
  mae::FinetuningOptions o;
  o.classifier = {.encoder = tiny_config(), .classes = {"low", "middle", "high"}, .eval_share = 1};
  o.init = mae::HeadInit::scratch;
  o.layer_decay = 0.75;
  o.drop_path = 0.4;
  o.mix_group = 4;
  return o;
}

/// Everything off that is drawn.
inline mae::FinetuningOptions still_options() {
  mae::FinetuningOptions o = tiny_options();
  o.drop_path = o.smoothing = o.erase.probability = 0;
  o.mix.mixup = o.mix.cutmix = 0;
  return o;
}

/// The official linear probe.
inline mae::FinetuningOptions probe_options() {
  mae::FinetuningOptions o = still_options();
  o.classifier.pooling = mae::Pooling::cls;
  o.classifier.head = mae::Head::probe;
  o.tuned = {.everything = false};
  o.init = mae::HeadInit::probe;
  o.layer_decay = 1;
  return o;
}

inline mae::Recipe finetuning_recipe(std::int64_t batch = 16, std::int64_t micro_batch = 0) {
  mae::Recipe r = tiny_recipe(batch, 20);
  r.micro_batch = micro_batch;
  r.min_lr = 1e-6;
  r.optimizer.beta2 = 0.999;
  return r;
}

/// LARS with a trust of 200 times the official one, which a few steps would not get far with.
inline mae::Recipe probe_recipe(std::int64_t batch = 16) {
  mae::Recipe r = finetuning_recipe(batch);
  r.blr = 1.6;
  r.min_lr = 0;
  r.optimizer = {.kind = Optimizer::momentum, .trust = 0.2, .weight_decay = 0};
  return r;
}

/// A fine-tuning with a stream and a loader of its own.
struct TinyRun {
  TinyRun(const mae::FinetuningOptions& options, const mae::Recipe& recipe, const mae::Dataset& data,
          DType compute = DType::f32, const kernels::Device& device = kernels::devices().front(),
          const mae::Augmentation& augmentation = {}, const mae::Execution& execution = {})
      : stream(device),
        loader(data, with(loader_options(options.classifier.encoder, recipe), augmentation)),
        finetuning(
            stream, options,
            {.recipe = recipe, .compute = compute, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()},
            execution) {}

  /// The next so many steps.
  std::vector<double> steps(int count) {
    std::vector<double> losses;
    for (int i = 0; i < count; ++i) {
      const StepResult result = finetuning.training().step(loader.get(finetuning.training().done()));
      losses.push_back(result.loss);
      norms.push_back(result.gradient_norm);
    }
    return losses;
  }
  std::vector<std::byte> weights() { return bits(finetuning.classifier().parameters().master()); }

  kernels::Stream stream;
  mae::Loader loader;
  mae::Finetuning finetuning;
  std::vector<double> norms;  // of all steps so far

 private:
  static mae::LoaderOptions with(mae::LoaderOptions o, const mae::Augmentation& augmentation) {
    o.augmentation = augmentation;
    return o;
  }
};

/// A tensor of a checkpoint.
inline std::vector<double> saved_values(const std::string& path, const std::string& name) {
  const SafetensorsFile file(path);
  const TensorEntry* entry = file.find(name);
  INFO(name << " of " << path);
  REQUIRE(entry);
  std::vector<std::byte> raw(entry->end - entry->begin);
  file.read(*entry, raw.data());
  const auto n = static_cast<std::int64_t>(raw.size() / engine::size_of(entry->type));
  return Session::values(kernels::view_of(raw.data(), engine::dtype_of(entry->type).value(), {n}));
}

}  // namespace test
