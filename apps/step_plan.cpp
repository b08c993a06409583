#include "apps/step_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "apps/table.h"
#include "engine/step.h"
#include "mae/input_slots.h"
#include "mae/model.h"

namespace apps {
namespace {

using kernels::DType;
using kernels::Shape;

/// A view of no memory.
kernels::View shaped(DType type, const Shape& shape) { return kernels::view_of(nullptr, type, shape); }

/// State of an update that takes no memory.
engine::UpdateState dry_update(const engine::Parameters& parameters) {
  const DType type = parameters.master_dtype();
  const std::int64_t segments = parameters.trained_range().segments;
  return {.loss = shaped(type, {1}),
          .squared_norm = shaped(type, {1}),
          .clip = shaped(type, {1}),
          .finite = shaped(DType::i32, {1}),
          .step = shaped(DType::u32, {1}),
          .losses = shaped(type, {engine::kept_losses}),
          .schedule = shaped(DType::f64, {1, 3}),
          .bounds = shaped(DType::u32, {segments + 1}),
          .lr_scale = shaped(DType::f64, {segments}),
          .weight_decay = shaped(DType::f64, {segments}),
          .trust = shaped(DType::f64, {segments})};
}

/// One micro-batch and the update on a dry context, op by op.
std::vector<engine::OpEntry> record(engine::Context& c, mae::Model& model, const StepPlanOptions& o) {
  const mae::Config& config = model.config();
  const DType table = kernels::statistics_of(o.compute);
  const mae::Images images{
      .pixels = shaped(o.pixels, {o.micro_batch, config.image_height, config.image_width, config.channels}),
      .scale = shaped(table, {config.channels}),
      .shift = shaped(table, {config.channels})};
  engine::Profile profile(c.stream);
  engine::Tape tape;
  c.profile = &profile;
  c.tape = &tape;
  const engine::LossSlot slot{shaped(model.parameters().master_dtype(), {1}), kernels::Write::overwrite};
  model.forward(c, images, shaped(DType::u32, {o.micro_batch, 2}), 0, slot, o.batch);
  {
    const engine::RangeScope range(&profile, "backward");  // of the gradient that starts it; ops carry their own
    tape.backward(c, tape.last());
  }
  const engine::RangeScope range(&profile, "update");
  launch_update(c.stream, model.parameters(), {}, dry_update(model.parameters()));
  return profile.ops();
}

/// Whether a step that could be planned with fewer images at once can be with so many. Rows refuse views of 2^31 values
/// and more: that is too large, too.
bool fits(kernels::Stream& stream, const StepPlanOptions& options, double bytes) {
  try {
    return plan_step(stream, options).memory.total() <= bytes;
  } catch (const kernels::Error&) {
    return false;
  }
}

bool product(const kernels::LaunchRecord& record) {
  const std::string_view kernel = record.kernel;
  return kernel == "matmul" || kernel.starts_with("attention");
}

}  // namespace

StepPlan plan_step(kernels::Stream& stream, const StepPlanOptions& o) {
  if (o.batch < 1) throw kernels::Error("the batch must be positive", "--batch");
  if (o.micro_batch < 1 || o.batch % o.micro_batch != 0)
    throw kernels::Error(std::to_string(o.micro_batch) + " does not divide the batch of " + std::to_string(o.batch),
                         "--micro-batch", "a divisor of --batch");
  mae::Model model(o.config, o.compute, o.execution);
  model.parameters().reserve(stream, engine::Purpose::training);
  StepPlan plan{.parameters = model.parameters().count(),
                .trainable = model.parameters().trainable_count(),
                .official = mae::official_training_flops(o.config)};
  engine::Workspace workspace(stream, o.compute);
  workspace.include([&](engine::Context& c) { plan.ops = record(c, model, o); });
  plan.memory = plan_memory(model.parameters(), workspace);
  plan.memory.inputs = mae::input_bytes(o.config, {.pixels = o.pixels, .compute = o.compute, .capacity = o.micro_batch},
                                        engine::steps_under_way);
  const auto batch = static_cast<double>(o.batch), micro_batches = batch / static_cast<double>(o.micro_batch);
  for (const engine::OpEntry& op : plan.ops) {
    const double repeats = op.range == "update" ? 1 : micro_batches, times = repeats / batch;
    for (const kernels::LaunchRecord& record : op.launches) {
      plan.launches += repeats;
      plan.bytes += record.cost.bytes * repeats;
      plan.all += record.cost.flops * times;
      if (product(record)) plan.products += record.cost.flops * times;
    }
  }
  return plan;
}

std::int64_t largest_micro_batch(kernels::Stream& stream, StepPlanOptions options, double bytes) {
  std::vector<std::int64_t> divisors;
  for (std::int64_t m = 1; m <= options.batch; ++m) {
    if (options.batch % m == 0) divisors.push_back(m);
  }
  const auto too_large = std::partition_point(divisors.begin(), divisors.end(), [&](std::int64_t m) {
    options.micro_batch = m;
    return fits(stream, options, bytes);
  });
  return too_large == divisors.begin() ? 0 : *std::prev(too_large);
}

std::int64_t largest_batch(kernels::Stream& stream, StepPlanOptions options, double bytes) {
  constexpr std::int64_t most = 1 << 30;  // of mae::validate
  const auto fit = [&](std::int64_t images) {
    options.batch = options.micro_batch = images;
    return fits(stream, options, bytes);
  };
  if (!fit(1)) return 0;
  std::int64_t fitting = 1, too_large = 2;
  while (too_large <= most && fit(too_large)) fitting = too_large, too_large *= 2;
  while (too_large - fitting > 1) {
    const std::int64_t middle = fitting + (too_large - fitting) / 2;
    (fit(middle) ? fitting : too_large) = middle;
  }
  return fitting;
}

double memory_for_training(const kernels::Device& device) {
  constexpr double room = 256 * 1048576.0;
  return static_cast<double>(kernels::free_memory(device)) - (device.kind == kernels::DeviceKind::cuda ? room : 0);
}

void require_memory(kernels::Stream& stream, const StepPlanOptions& options, const StepPlan& plan, double bytes) {
  const double needed = plan.memory.total();
  if (needed <= bytes) return;
  const std::int64_t fits = largest_micro_batch(stream, options, bytes);
  throw kernels::Error(
      fmt::format("a step needs {}, and {} has {} for it", bytes_text(needed), stream.device().name, bytes_text(bytes)),
      fmt::format("--micro-batch {}", options.micro_batch),
      fits > 0 ? fmt::format("--micro-batch {}, the largest that fits", fits)
               : "a smaller --model: not even one image at once fits");
}

}  // namespace apps
