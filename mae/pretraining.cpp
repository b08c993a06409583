#include "mae/pretraining.h"

#include <algorithm>

#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace mae {
namespace {

engine::Buffer upload_table(kernels::Stream& stream, const std::vector<double>& values, kernels::DType type) {
  engine::Buffer buffer(stream.device(), values.size() * kernels::size_of(type));
  const std::vector<float> narrow(values.begin(), values.end());
  const void* source = type == kernels::DType::f64 ? static_cast<const void*>(values.data()) : narrow.data();
  stream.copy(buffer.data(), source, values.size() * kernels::size_of(type));
  stream.synchronize();
  return buffer;
}

}  // namespace

void validate(const Recipe& r) {
  const auto require = [](bool ok, const char* flag, const std::string& what, const char* advice) {
    if (!ok) throw kernels::Error(what, flag, advice);
  };
  require(r.batch >= 1 && r.batch <= 1 << 30, "--batch", "the batch must be positive, and below 2^30", "");
  require(r.micro_batch >= 0 && r.batch % r.micro() == 0, "--micro-batch",
          std::to_string(r.micro_batch) + " does not divide the batch of " + std::to_string(r.batch),
          "a divisor of --batch");
  require(r.epochs > 0 && r.epochs <= 1e9, "--epochs", "the epochs must be positive, and at most 1e9", "");
  require(r.warmup_epochs >= 0 && r.warmup_epochs < r.epochs, "--warmup-epochs", "warm-up must be shorter than the run",
          "fewer --warmup-epochs, or more --epochs");
  require(r.blr > 0 && r.min_lr >= 0, "--blr, --min-lr", "learning rates must be positive", "");
  require(r.min_lr <= r.lr(), "--min-lr", "is above the peak of " + std::to_string(r.lr()), "0, as in the recipe");
  const engine::AdamWOptions& a = r.adamw;
  require(a.beta1 >= 0 && a.beta1 < 1 && a.beta2 >= 0 && a.beta2 < 1, "--beta1, --beta2", "must lie in [0, 1)", "");
  require(a.weight_decay >= 0, "--weight-decay", "must not be negative", "");
  require(a.max_norm >= 0, "--clip-grad", "must not be negative", "0 for no clipping");
}

InputSlot::InputSlot(kernels::Stream& stream, const Config& config, kernels::DType pixels, kernels::DType compute,
                     std::int64_t capacity)
    : stream_(stream),
      image_{config.image_height, config.image_width, config.channels},
      pixel_type_(pixels),
      table_type_(kernels::statistics_of(compute)),
      pixels_(stream.device(), static_cast<std::size_t>(capacity * image_.count()) * kernels::size_of(pixels)),
      draws_(stream.device(), static_cast<std::size_t>(capacity) * 2 * sizeof(std::uint32_t)) {
  const PixelScaling scaling = pixel_scaling(config);
  scale_ = upload_table(stream, scaling.scale, table_type_);
  shift_ = upload_table(stream, scaling.shift, table_type_);
}

void InputSlot::fill(const Batch& batch, std::int64_t first, std::int64_t count) {
  const std::size_t sample = static_cast<std::size_t>(image_.count()) * kernels::size_of(pixel_type_),
                    at = static_cast<std::size_t>(first);
  const auto samples = static_cast<std::int64_t>(batch.draws.size() / 2);
  if (batch.pixels.size() != static_cast<std::size_t>(samples) * sample || first + count > samples ||
      static_cast<std::size_t>(count) * sample > pixels_.bytes()) {
    throw kernels::Error("images of other sizes, channels or pixel type than the model was planned for", "input slot",
                         "training and validation images of one kind");
  }
  stream_.copy(pixels_.data(), batch.pixels.data() + at * sample, static_cast<std::size_t>(count) * sample);
  stream_.copy(draws_.data(), batch.draws.data() + at * 2, static_cast<std::size_t>(count) * 2 * sizeof(std::uint32_t));
  stream_.synchronize();
}

Images InputSlot::images(std::int64_t count) const {
  return {.pixels = pixels_.view(pixel_type_, {count, image_[0], image_[1], image_[2]}),
          .scale = scale_.view(table_type_, {image_[2]}),
          .shift = shift_.view(table_type_, {image_[2]})};
}

View InputSlot::draws(std::int64_t count) const { return draws_.view(kernels::DType::u32, {count, 2}); }

double InputSlot::bytes() const {
  return static_cast<double>(pixels_.bytes() + draws_.bytes() + scale_.bytes() + shift_.bytes());
}

Pretraining::Pretraining(kernels::Stream& stream, const Config& config, const Recipe& recipe, kernels::DType compute,
                         kernels::DType pixels, std::int64_t steps_per_epoch)
    : stream_(stream),
      recipe_(recipe),
      schedule_{.lr = recipe.lr(),
                .min_lr = recipe.min_lr,
                .warmup_epochs = recipe.warmup_epochs,
                .epochs = recipe.epochs,
                .steps_per_epoch = steps_per_epoch},
      model_(config, compute),
      inputs_(stream, config, pixels, compute, recipe.micro()),
      micro_count_(recipe.micro()),
      share_(recipe.batch),
      workspace_(stream, compute),
      step_((model_.initialize(stream, recipe.seed, engine::Purpose::training), workspace_), model_.parameters(),
            recipe.adamw, schedule_.table(),
            [this](Context& c, const engine::LossSlot& slot) {
              model_.forward(c, inputs_.images(micro_count_), inputs_.draws(micro_count_), recipe_.seed, slot, share_);
            }),
      evaluation_loss_(stream.device(), sizeof(double)) {
  workspace_.include([&](Context& c) {  // evaluation
    model_.forward(c, inputs_.images(micro_count_), inputs_.draws(micro_count_), recipe_.seed,
                   {evaluation_loss_.view(model_.parameters().master_dtype(), {1}), kernels::Write::overwrite}, share_);
  });
  workspace_.reserve();
}

engine::StepResult Pretraining::step(const Batch& batch) {
  accumulate(batch, true);
  return step_.update();
}

std::string Pretraining::first_not_finite(const Batch& batch) {
  engine::FiniteCheck check(stream_);
  accumulate(batch, true, &check);
  return check.found().empty() ? "every value is finite: only the sum of the squared gradients overflows"
                               : check.found();
}

void Pretraining::accumulate(const Batch& part, bool first, engine::FiniteCheck* check) {
  const auto count = static_cast<std::int64_t>(part.draws.size() / 2);
  share_ = recipe_.batch;
  for (std::int64_t at = 0; at < count; at += recipe_.micro()) {
    micro_count_ = std::min(recipe_.micro(), count - at);
    inputs_.fill(part, at, micro_count_);
    step_.micro_batch(first && at == 0, check);
  }
}

double Pretraining::evaluate(const Batch& batch) {
  const auto count = static_cast<std::int64_t>(batch.draws.size() / 2);
  const kernels::DType type = model_.parameters().master_dtype();
  for (std::int64_t at = 0; at < count; at += recipe_.micro()) {
    const std::int64_t some = std::min(recipe_.micro(), count - at);
    inputs_.fill(batch, at, some);
    Context context = workspace_.context();
    const engine::LossSlot slot{evaluation_loss_.view(type, {1}),
                                at == 0 ? kernels::Write::overwrite : kernels::Write::accumulate};
    model_.forward(context, inputs_.images(some), inputs_.draws(some), recipe_.seed, slot, count);
  }
  double wide = 0;
  float narrow = 0;
  void* value = type == kernels::DType::f64 ? static_cast<void*>(&wide) : &narrow;
  stream_.copy(value, evaluation_loss_.data(), kernels::size_of(type));
  stream_.synchronize();
  return type == kernels::DType::f64 ? wide : narrow;
}

engine::MemoryPlan Pretraining::memory() const {
  engine::MemoryPlan plan = plan_memory(model_.parameters(), workspace_);
  plan.inputs = inputs_.bytes();
  return plan;
}

void Pretraining::save(const std::string& path, const engine::Text& run) const {
  engine::Text metadata = config_metadata(model_.config());
  for (const auto& [key, value] : run) metadata["run." + key] = value;
  save_checkpoint(path, stream_, model_.parameters(), {.step = done(), .metadata = metadata});
}

void Pretraining::load(const std::string& path) {
  const engine::Checkpoint checkpoint = engine::read_checkpoint(path);
  if (config_metadata(config_of(checkpoint, path)) != config_metadata(model_.config())) {
    throw kernels::Error("the checkpoint's model is not the one configured", path,
                         "the same --model and sizes as RUN/config.toml says");
  }
  load_checkpoint(path, stream_, model_.parameters(), engine::Content::training_state);
  step_.set_step(checkpoint.step);
}

}  // namespace mae
