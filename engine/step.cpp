#include "engine/step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/core/capture_lint.h"
#include "kernels/momentum.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace engine {
namespace {

constexpr std::size_t scalar_stride = 64;  // bytes: one line each
constexpr std::size_t scalar_bytes = 5 * scalar_stride;
constexpr int eager_steps = 2;  // before a graph is captured

template <class T>
T value_at(const std::byte* bytes) {
  T value{};
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

void launch_update(kernels::Stream& stream, const Parameters& parameters, const OptimizerOptions& options,
                   const UpdateState& state) {
  const TrainedRange& range = parameters.trained_range();
  const View gradient = parameters.gradient(), master = range.of(parameters.master()),
             compute = parameters.dtype() == DType::bf16 ? range.of(parameters.compute()) : View{};
  launch(stream, kernels::SquaredNorm{.x = gradient, .out = state.squared_norm});
  launch(stream, kernels::StepGuard{.loss = state.loss,
                                    .squared_norm = state.squared_norm,
                                    .finite = state.finite,
                                    .clip = state.clip,
                                    .max_norm = options.max_norm});
  if (options.kind == Optimizer::adamw) {
    launch(stream, kernels::AdamW{.gradient = gradient,
                                  .schedule = state.schedule,
                                  .step = state.step,
                                  .finite = state.finite,
                                  .clip = state.clip,
                                  .bounds = state.bounds,
                                  .lr_scale = state.lr_scale,
                                  .weight_decay = state.weight_decay,
                                  .master = master,
                                  .moment1 = parameters.moment1(),
                                  .moment2 = parameters.moment2(),
                                  .compute = compute,
                                  .beta1 = options.beta1,
                                  .beta2 = options.beta2,
                                  .eps = options.eps});
  } else {
    launch(stream, kernels::Momentum{.gradient = gradient,
                                     .schedule = state.schedule,
                                     .step = state.step,
                                     .finite = state.finite,
                                     .clip = state.clip,
                                     .bounds = state.bounds,
                                     .lr_scale = state.lr_scale,
                                     .weight_decay = state.weight_decay,
                                     .trust = state.trust,
                                     .master = master,
                                     .moment = parameters.moment1(),
                                     .compute = compute,
                                     .momentum = options.momentum});
  }
  launch(stream,
         kernels::StepAdvance{.loss = state.loss, .finite = state.finite, .step = state.step, .losses = state.losses});
}

TrainStep::TrainStep(Workspace& workspace, Parameters& parameters, const OptimizerOptions& options,
                     const std::vector<double>& lr, Program program, Replay replay, AfterUpdate after_update)
    : workspace_(workspace),
      stream_(workspace.stream()),
      parameters_(parameters),
      options_(options),
      program_(std::move(program)),
      replay_(replay),
      after_update_(std::move(after_update)),
      scalars_(stream_.device(), scalar_bytes),
      results_(host_buffer(stream_.device(), steps_under_way * scalar_bytes)) {
  const DType type = parameters.master_dtype();
  auto* next = static_cast<std::byte*>(scalars_.data());
  const auto scalar = [&](DType t) { return kernels::view_of(std::exchange(next, next + scalar_stride), t, {1}); };
  state_ = {.loss = scalar(type), .squared_norm = scalar(type), .clip = scalar(type)};
  state_.finite = scalar(DType::i32);
  state_.step = scalar(DType::u32);
  for (auto& event : sent_) event = std::make_unique<kernels::Event>(stream_.device());
  upload_tables(lr);
  set_step(0);
  plan();
}

void TrainStep::plan() {
  workspace_.include([&](Context& context) {
    forward_backward(context, {}, 0);
    update(context.stream);
  });
}

void TrainStep::upload_tables(const std::vector<double>& lr) {
  lr_ = lr;
  std::vector<double> schedule;  // (steps, 3): lr, 1 - beta1^t, 1 - beta2^t
  for (std::size_t s = 0; s < lr.size(); ++s) {
    const double t = static_cast<double>(s + 1);
    schedule.insert(schedule.end(), {lr[s], 1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)});
  }
  const TrainedRange& range = parameters_.trained_range();
  if (range.elements == 0) throw kernels::Error("nothing of the model is trained", "train step");
  std::vector<std::uint32_t> bounds;
  std::vector<double> lr_scale, weight_decay, trust;
  for (int i = range.first; i < range.first + range.segments; ++i) {
    const Segment& segment = parameters_.segments()[static_cast<std::size_t>(i)];
    bounds.push_back(static_cast<std::uint32_t>(segment.offset - range.offset));
    lr_scale.push_back(segment.trainable == Trainable::yes ? segment.lr_scale : 0);
    weight_decay.push_back(segment.decay == Decay::yes ? options_.weight_decay : 0);
    trust.push_back(segment.shape.rank > 1 ? options_.trust : 0);
  }
  bounds.push_back(static_cast<std::uint32_t>(range.elements));
  schedule_ = upload(stream_, schedule);
  bounds_ = upload(stream_, bounds);
  lr_scale_ = upload(stream_, lr_scale);
  weight_decay_ = upload(stream_, weight_decay);
  trust_ = upload(stream_, trust);
  losses_ = Buffer(stream_.device(), kept_losses * kernels::size_of(parameters_.master_dtype()));
  const auto segments = static_cast<std::int64_t>(lr_scale.size());
  state_.schedule = schedule_.view(DType::f64, {static_cast<std::int64_t>(lr.size()), 3});
  state_.bounds = bounds_.view(DType::u32, {segments + 1});
  state_.lr_scale = lr_scale_.view(DType::f64, {segments});
  state_.weight_decay = weight_decay_.view(DType::f64, {segments});
  state_.trust = trust_.view(DType::f64, {segments});
  state_.losses = losses_.view(parameters_.master_dtype(), {kept_losses});
}

void TrainStep::forward_backward(Context& context, PartOfBatch part, int slot) {
  Tape tape;
  context.tape = &tape;
  program_(context, {state_.loss, part.first ? kernels::Write::overwrite : kernels::Write::accumulate}, slot);
  const RangeScope range(context.profile, "backward");  // of the gradient that starts it; ops carry their own
  tape.backward(context, tape.last());
}

void TrainStep::update(kernels::Stream& stream) const {
  launch_update(stream, parameters_, options_, state_);
  if (after_update_) after_update_(stream, state_);
}

void TrainStep::queue(PartOfBatch part, int slot, Profile* profile) {
  const kernels::CaptureLint lint(stream_);
  Context context = workspace_.context();
  context.profile = profile;
  if (part.first) parameters_.begin_gradients();
  forward_backward(context, part, slot);
  if (part.last) {
    const RangeScope range(profile, "update");
    parameters_.finish_gradients(stream_);
    update(stream_);
  }
  lint.check();
}

void TrainStep::start(PartOfBatch part, int slot, std::int64_t samples, Profile* profile) {
  if (part.last && under_way() == steps_under_way) throw kernels::Error("too many steps under way", "train step");
  const Kind kind{part, slot, samples};
  auto graph = profile ? graphs_.end() : graphs_.find(kind);
  const bool ready = queued_ >= eager_steps && seen_.contains(samples);  // libraries have set themselves up
  seen_.insert(samples);
  if (!profile && graph == graphs_.end() && replay_ == Replay::yes && ready)
    graph = graphs_.try_emplace(kind, stream_, [this, part, slot] { queue(part, slot); }).first;
  if (graph == graphs_.end()) queue(part, slot, profile);
  else graph->second.replay(stream_);
  if (part.last) send_result();
}

void TrainStep::inspect(PartOfBatch part, int slot, FiniteCheck& check) {
  Context context = workspace_.context();
  Profile names(stream_);  // of the parts of the model
  context.profile = &names;
  context.check = &check;
  if (part.first) parameters_.begin_gradients();
  forward_backward(context, part, slot);
  for (std::size_t i = 0; i < parameters_.segments().size(); ++i) {
    const Segment& segment = parameters_.segments()[i];
    if (segment.trainable == Trainable::no) continue;
    check.look("the gradient of " + segment.name,
               parameters_.part(parameters_.gradient(), static_cast<int>(i), segment.shape));
  }
}

void TrainStep::send_result() {
  const auto turn = static_cast<std::size_t>(queued_++ % steps_under_way);
  stream_.copy(static_cast<std::byte*>(results_.data()) + turn * scalar_bytes, scalars_.data(), scalar_bytes);
  sent_[turn]->record(stream_);
}

StepResult TrainStep::finish() {
  if (under_way() == 0) throw kernels::Error("no step is under way", "train step");
  const auto turn = static_cast<std::size_t>(finished_ % steps_under_way);
  sent_[turn]->synchronize();
  ++finished_;
  const auto* sent = static_cast<const std::byte*>(results_.data()) + turn * scalar_bytes;
  const auto at = [&](const View& scalar) {
    return sent + (static_cast<const std::byte*>(scalar.data) - static_cast<const std::byte*>(scalars_.data()));
  };
  const auto number = [&](const View& v) {
    return v.dtype == DType::f64 ? value_at<double>(at(v)) : static_cast<double>(value_at<float>(at(v)));
  };
  const bool finite = value_at<std::int32_t>(at(state_.finite)) == 1;
  const std::size_t next = value_at<std::uint32_t>(at(state_.step)), current = finite ? next - 1 : next;
  return {.finite = finite,
          .loss = number(state_.loss),
          .gradient_norm = std::sqrt(number(state_.squared_norm)),
          .lr = lr_[std::min(current, lr_.size() - 1)]};  // as kernels/optimizer does
}

std::int64_t TrainStep::step() const {
  std::uint32_t value = 0;
  stream_.copy(&value, state_.step.data, sizeof value);
  stream_.synchronize();
  return value;
}

void TrainStep::set_step(std::int64_t step) {
  const auto value = static_cast<std::uint32_t>(step);
  const std::int32_t finite = 1;
  stream_.copy(state_.step.data, &value, sizeof value);
  stream_.copy(state_.finite.data, &finite, sizeof finite);
  stream_.synchronize();
}

}  // namespace engine
