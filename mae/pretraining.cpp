#include "mae/pretraining.h"

#include <algorithm>

#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace mae {
namespace {

Model& initialized(Model& model, kernels::Stream& stream, std::uint32_t seed) {
  model.initialize(stream, seed, engine::Purpose::training);
  return model;
}

}  // namespace

Pretraining::Pretraining(kernels::Stream& stream, const Config& config, const TrainingOptions& options,
                         const Execution& execution)
    : stream_(stream),
      model_(config, options.compute, execution),
      training_(
          stream, initialized(model_, stream, options.recipe.seed).parameters(), config, options,
          {.forward = [this](Context& c, const MicroBatch& m, const engine::LossSlot& loss) { forward(c, m, loss); }}),
      evaluation_loss_(stream.device(), sizeof(double)) {
  plan_evaluation(options.recipe.micro());
  if (const std::int64_t left = options.evaluated % options.recipe.micro(); left > 0) plan_evaluation(left);
  training_.reserve();
}

void Pretraining::plan_evaluation(std::int64_t images) {
  training_.workspace().include([&](Context& c) {
    const MicroBatch m{.images = training_.inputs().images(0, images),
                       .draws = training_.inputs().draws(0, images),
                       .columns = {},
                       .global_batch = images};
    forward(c, m, {evaluation_loss_.view(model_.parameters().master_dtype(), {1}), kernels::Write::overwrite});
  });
}

void Pretraining::forward(Context& c, const MicroBatch& m, const engine::LossSlot& loss) const {
  model_.forward(c, m.images, m.draws, training_.recipe().seed, loss, m.global_batch);
}

double Pretraining::evaluate(const Batch& batch) {
  const std::int64_t count = batch.size();
  const kernels::DType type = model_.parameters().master_dtype();
  InputSlots& inputs = training_.inputs();
  const std::int64_t micro = training_.recipe().micro();
  for (std::int64_t at = 0; at < count; at += micro) {
    const std::int64_t some = std::min(micro, count - at);
    const int slot = inputs.fill(batch, at, some);
    Context context = training_.workspace().context();
    forward(
        context,
        {.images = inputs.images(slot, some), .draws = inputs.draws(slot, some), .columns = {}, .global_batch = count},
        {evaluation_loss_.view(type, {1}), at == 0 ? kernels::Write::overwrite : kernels::Write::accumulate});
    inputs.release(slot);
  }
  double wide = 0;
  float narrow = 0;
  void* value = type == kernels::DType::f64 ? static_cast<void*>(&wide) : &narrow;
  stream_.copy(value, evaluation_loss_.data(), kernels::size_of(type));
  stream_.synchronize();
  return type == kernels::DType::f64 ? wide : narrow;
}

void Pretraining::save(const std::string& path, const engine::Text& run) const {
  engine::Text metadata = config_metadata(model_.config());
  for (const auto& [key, value] : run) metadata["run." + key] = value;
  metadata.merge(choices_metadata());
  save_checkpoint(path, stream_, model_.parameters(), {.step = training_.done(), .metadata = metadata});
}

void Pretraining::load(const std::string& path) {
  const engine::Checkpoint checkpoint = engine::read_checkpoint(path);
  if (config_metadata(config_of(checkpoint, path)) != config_metadata(model_.config())) {
    throw kernels::Error("the checkpoint's model is not the one configured", path,
                         "the same --model and sizes as RUN/config.toml says");
  }
  load_checkpoint(path, stream_, model_.parameters(), engine::Content::training_state);
  adopt_choices(checkpoint);
  training_.set_done(checkpoint.step);
}

}  // namespace mae
