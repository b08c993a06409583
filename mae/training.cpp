#include "mae/training.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/core/check.h"
#include "kernels/core/choices.h"
#include "kernels/reduce.h"
#include "mae/host_values.h"

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
  const engine::OptimizerOptions& a = r.optimizer;
  require(a.beta1 >= 0 && a.beta1 < 1 && a.beta2 >= 0 && a.beta2 < 1, "--beta1, --beta2", "must lie in [0, 1)", "");
  require(a.momentum >= 0 && a.momentum < 1, "--momentum", "must lie in [0, 1)", "");
  require(a.weight_decay >= 0, "--weight-decay", "must not be negative", "");
  require(a.max_norm >= 0, "--clip-grad", "must not be negative", "0 for no clipping");
}

void adopt_choices(const engine::Checkpoint& checkpoint) {
  if (const auto found = checkpoint.metadata.find(choices_key); found != checkpoint.metadata.end())
    kernels::adopt_choices(kernels::choices_from(found->second));
}

engine::Text choices_metadata() {
  const std::string text = kernels::to_text(kernels::choices());
  return text.empty() ? engine::Text{} : engine::Text{{choices_key, text}};
}

Training::Training(kernels::Stream& stream, engine::Parameters& parameters, const Config& config,
                   const TrainingOptions& options, Objective objective)
    : stream_(stream),
      parameters_(parameters),
      options_(options),
      objective_(std::move(objective)),
      schedule_{.lr = options.recipe.lr(),
                .min_lr = options.recipe.min_lr,
                .warmup_epochs = options.recipe.warmup_epochs,
                .epochs = options.recipe.epochs,
                .steps_per_epoch = options.steps_per_epoch,
                .pace = options.recipe.schedule},
      inputs_(stream, config,
              {.pixels = options.pixels,
               .compute = options.compute,
               .capacity = options.recipe.micro(),
               .columns = objective_.columns},
              engine::steps_under_way),
      micro_count_(options.recipe.micro()),
      share_(options.recipe.batch),
      workspace_(stream, options.compute),
      step_(
          workspace_, parameters, options.recipe.optimizer, schedule_.table(),
          [this](Context& c, const engine::LossSlot& loss, int slot) {
            objective_.forward(c, micro_batch(slot), loss);
          },
          options.replay, objective_.after_update) {
  if (options.short_part == 0) return;
  set_part(options.short_part, options.recipe.batch / options.recipe.micro());
  step_.plan();
  set_part(options.recipe.micro(), options.recipe.batch / options.recipe.micro());
}

MicroBatch Training::micro_batch(int slot) const {
  MicroBatch m{.images = inputs_.images(slot, micro_count_),
               .draws = inputs_.draws(slot, micro_count_),
               .columns = {},
               .global_batch = share_};
  for (std::size_t i = 0; i < objective_.columns.size(); ++i)
    m.columns.push_back(inputs_.column(slot, i, micro_count_));
  return m;
}

engine::StepResult Training::step(const Batch& batch) {
  start(batch);
  return finish();
}

void Training::start(const Batch& batch) { queue(batch, {.first = true, .last = true}); }

void Training::start_on_resident() {
  share_ = recipe().batch;
  micro_count_ = recipe().micro();
  for (std::int64_t at = 0; at < share_; at += micro_count_) {
    const int slot = inputs_.next_as_it_is();
    step_.start({.first = at == 0, .last = at + micro_count_ == share_}, slot, micro_count_);
    inputs_.release(slot);
  }
}

engine::StepResult Training::step(const Batch& batch, engine::Profile& profile) {
  run(batch, {.first = true, .last = true},
      [&](engine::PartOfBatch part, int slot) { step_.start(part, slot, micro_count_, &profile); });
  return finish();
}

void Training::accumulate(const Batch& part, bool first) { queue(part, {.first = first, .last = false}); }

std::string Training::first_not_finite(const Batch& batch) {
  while (under_way() > 0) finish();
  engine::FiniteCheck check(stream_);
  run(batch, {.first = true, .last = false},
      [&](engine::PartOfBatch part, int slot) { step_.inspect(part, slot, check); });
  return check.found().empty() ? "every value is finite: only the sum of the squared gradients overflows"
                               : check.found();
}

void Training::queue(const Batch& part, engine::PartOfBatch position) {
  run(part, position, [&](engine::PartOfBatch micro, int slot) { step_.start(micro, slot, micro_count_); });
}

void Training::run(const Batch& part, engine::PartOfBatch position,
                   const std::function<void(engine::PartOfBatch, int)>& start) {
  const std::int64_t count = part.size();
  const std::vector<Column> columns = objective_.values ? objective_.values(part) : std::vector<Column>{};
  share_ = recipe().batch;
  for (std::int64_t at = 0, i = 0; at < count; at += micro_count_, ++i) {
    micro_count_ = std::min(recipe().micro(), count - at);
    if (!part.parts.empty()) {
      set_part(part.parts[static_cast<std::size_t>(i)], recipe().batch / recipe().micro());
    }
    const int slot = inputs_.fill(part, at, micro_count_, columns);
    start({.first = position.first && at == 0, .last = position.last && at + micro_count_ == count}, slot);
    inputs_.release(slot);
  }
}

double Training::weight_norm() const {
  const View weights = parameters_.trained_range().of(parameters_.master());
  const engine::Buffer norm(stream_.device(), sizeof(double));
  const View out = norm.view(weights.dtype, {1});
  launch(stream_, kernels::SquaredNorm{.x = weights, .out = out});
  return std::sqrt(host_values(stream_, out).front());
}

engine::MemoryPlan Training::memory() const {
  engine::MemoryPlan plan = plan_memory(parameters_, workspace_);
  plan.inputs = inputs_.bytes();
  return plan;
}

}  // namespace mae
