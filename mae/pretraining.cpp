#include "mae/pretraining.h"

#include <algorithm>

#include "kernels/core/check.h"
#include "kernels/core/choices.h"
#include "mae/model_file.h"

namespace mae {
namespace {

constexpr const char* choices_key = "choices";  // of a checkpoint's metadata: what rows chose by timing

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

void adopt_choices(const engine::Checkpoint& checkpoint) {
  if (const auto found = checkpoint.metadata.find(choices_key); found != checkpoint.metadata.end())
    kernels::adopt_choices(kernels::choices_from(found->second));
}

Pretraining::Pretraining(kernels::Stream& stream, const Config& config, const Recipe& recipe, kernels::DType compute,
                         kernels::DType pixels, std::int64_t steps_per_epoch, engine::Replay replay,
                         const Execution& execution)
    : stream_(stream),
      recipe_(recipe),
      schedule_{.lr = recipe.lr(),
                .min_lr = recipe.min_lr,
                .warmup_epochs = recipe.warmup_epochs,
                .epochs = recipe.epochs,
                .steps_per_epoch = steps_per_epoch},
      model_(config, compute, execution),
      pixels_(pixels),
      inputs_(stream, config, pixels, compute, recipe.micro(), engine::steps_under_way),
      micro_count_(recipe.micro()),
      share_(recipe.batch),
      workspace_(stream, compute),
      step_((model_.initialize(stream, recipe.seed, engine::Purpose::training), workspace_), model_.parameters(),
            recipe.adamw, schedule_.table(),
            [this](Context& c, const engine::LossSlot& loss, int slot) {
              model_.forward(c, inputs_.images(slot, micro_count_), inputs_.draws(slot, micro_count_), recipe_.seed,
                             loss, share_);
            },
            replay),
      evaluation_loss_(stream.device(), sizeof(double)) {
  workspace_.include([&](Context& c) {  // evaluation
    model_.forward(c, inputs_.images(0, micro_count_), inputs_.draws(0, micro_count_), recipe_.seed,
                   {evaluation_loss_.view(model_.parameters().master_dtype(), {1}), kernels::Write::overwrite}, share_);
  });
  workspace_.reserve();
}

engine::StepResult Pretraining::step(const Batch& batch) {
  start(batch);
  return finish();
}

void Pretraining::start(const Batch& batch) { queue(batch, {.first = true, .last = true}); }

void Pretraining::start_on_resident() {
  share_ = recipe_.batch;
  micro_count_ = recipe_.micro();
  for (std::int64_t at = 0; at < share_; at += micro_count_) {
    const int slot = inputs_.next_as_it_is();
    step_.start({.first = at == 0, .last = at + micro_count_ == share_}, slot, micro_count_);
    inputs_.release(slot);
  }
}

engine::StepResult Pretraining::step(const Batch& batch, engine::Profile& profile) {
  run(batch, {.first = true, .last = true},
      [&](engine::PartOfBatch part, int slot) { step_.start(part, slot, micro_count_, &profile); });
  return finish();
}

engine::StepResult Pretraining::finish() { return step_.finish(); }

void Pretraining::accumulate(const Batch& part, bool first) { queue(part, {.first = first, .last = false}); }

std::string Pretraining::first_not_finite(const Batch& batch) {
  while (under_way() > 0) finish();
  engine::FiniteCheck check(stream_);
  run(batch, {.first = true, .last = false},
      [&](engine::PartOfBatch part, int slot) { step_.inspect(part, slot, check); });
  return check.found().empty() ? "every value is finite: only the sum of the squared gradients overflows"
                               : check.found();
}

void Pretraining::queue(const Batch& part, engine::PartOfBatch position) {
  run(part, position, [&](engine::PartOfBatch micro, int slot) { step_.start(micro, slot, micro_count_); });
}

void Pretraining::run(const Batch& part, engine::PartOfBatch position,
                      const std::function<void(engine::PartOfBatch, int)>& start) {
  const auto count = static_cast<std::int64_t>(part.draws.size() / 2);
  share_ = recipe_.batch;
  for (std::int64_t at = 0; at < count; at += recipe_.micro()) {
    micro_count_ = std::min(recipe_.micro(), count - at);
    const int slot = inputs_.fill(part, at, micro_count_);
    start({.first = position.first && at == 0, .last = position.last && at + micro_count_ == count}, slot);
    inputs_.release(slot);
  }
}

double Pretraining::evaluate(const Batch& batch) {
  const auto count = static_cast<std::int64_t>(batch.draws.size() / 2);
  const kernels::DType type = model_.parameters().master_dtype();
  for (std::int64_t at = 0; at < count; at += recipe_.micro()) {
    const std::int64_t some = std::min(recipe_.micro(), count - at);
    const int slot = inputs_.fill(batch, at, some);
    Context context = workspace_.context();
    const engine::LossSlot loss{evaluation_loss_.view(type, {1}),
                                at == 0 ? kernels::Write::overwrite : kernels::Write::accumulate};
    model_.forward(context, inputs_.images(slot, some), inputs_.draws(slot, some), recipe_.seed, loss, count);
    inputs_.release(slot);
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
  plan.inputs =
      input_bytes(model_.config(), pixels_, model_.parameters().dtype(), recipe_.micro(), engine::steps_under_way);
  return plan;
}

void Pretraining::save(const std::string& path, const engine::Text& run) const {
  engine::Text metadata = config_metadata(model_.config());
  for (const auto& [key, value] : run) metadata["run." + key] = value;
  if (const std::string choices = kernels::to_text(kernels::choices()); !choices.empty())
    metadata[choices_key] = choices;
  save_checkpoint(path, stream_, model_.parameters(), {.step = done(), .metadata = metadata});
}

void Pretraining::load(const std::string& path) {
  const engine::Checkpoint checkpoint = engine::read_checkpoint(path);
  if (config_metadata(config_of(checkpoint, path)) != config_metadata(model_.config())) {
    throw kernels::Error("the checkpoint's model is not the one configured", path,
                         "the same --model and sizes as RUN/config.toml says");
  }
  load_checkpoint(path, stream_, model_.parameters(), engine::Content::training_state);
  adopt_choices(checkpoint);
  step_.set_step(checkpoint.step);
}

}  // namespace mae
