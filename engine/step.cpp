#include "engine/step.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace engine {
namespace {

constexpr std::size_t scalar_stride = 64;  // bytes: one line each
constexpr std::size_t scalar_count = 5;

Buffer upload(kernels::Stream& stream, const void* data, std::size_t bytes) {
  Buffer buffer(stream.device(), bytes);
  stream.copy(buffer.data(), data, bytes);
  stream.synchronize();
  return buffer;
}

}  // namespace

void launch_update(kernels::Stream& stream, const Parameters& parameters, const AdamWOptions& options,
                   const UpdateState& state) {
  launch(stream, kernels::SquaredNorm{.x = parameters.gradient(), .out = state.squared_norm});
  launch(stream, kernels::StepGuard{.loss = state.loss,
                                    .squared_norm = state.squared_norm,
                                    .finite = state.finite,
                                    .clip = state.clip,
                                    .max_norm = options.max_norm});
  launch(stream, kernels::AdamW{.gradient = parameters.gradient(),
                                .schedule = state.schedule,
                                .step = state.step,
                                .finite = state.finite,
                                .clip = state.clip,
                                .bounds = state.bounds,
                                .lr_scale = state.lr_scale,
                                .weight_decay = state.weight_decay,
                                .master = parameters.master(),
                                .moment1 = parameters.moment1(),
                                .moment2 = parameters.moment2(),
                                .compute = parameters.compute(),
                                .beta1 = options.beta1,
                                .beta2 = options.beta2,
                                .eps = options.eps});
  launch(stream,
         kernels::StepAdvance{.loss = state.loss, .finite = state.finite, .step = state.step, .losses = state.losses});
}

TrainStep::TrainStep(Workspace& workspace, Parameters& parameters, const AdamWOptions& options,
                     const std::vector<double>& lr, Program program)
    : workspace_(workspace),
      stream_(workspace.stream()),
      parameters_(parameters),
      options_(options),
      program_(std::move(program)),
      scalars_(stream_.device(), scalar_count * scalar_stride) {
  const DType type = parameters.master_dtype();
  auto* next = static_cast<std::byte*>(scalars_.data());
  const auto scalar = [&](DType t) { return kernels::view_of(std::exchange(next, next + scalar_stride), t, {1}); };
  state_ = {.loss = scalar(type), .squared_norm = scalar(type), .clip = scalar(type)};
  state_.finite = scalar(DType::i32);
  state_.step = scalar(DType::u32);
  upload_tables(lr);
  set_step(0);
  workspace.include([&](Context& context) {
    Tape tape;
    context.tape = &tape;
    program_(context, {state_.loss, kernels::Write::overwrite});
    tape.backward(context, tape.last());
    launch_update(context.stream, parameters, options_, state_);
  });
}

void TrainStep::upload_tables(const std::vector<double>& lr) {
  lr_ = lr;
  std::vector<double> schedule;  // (steps, 3): lr, 1 - beta1^t, 1 - beta2^t
  for (std::size_t s = 0; s < lr.size(); ++s) {
    const double t = static_cast<double>(s + 1);
    schedule.insert(schedule.end(), {lr[s], 1 - std::pow(options_.beta1, t), 1 - std::pow(options_.beta2, t)});
  }
  std::vector<std::uint32_t> bounds;
  std::vector<double> lr_scale, weight_decay;
  for (const Segment& segment : parameters_.segments()) {
    bounds.push_back(static_cast<std::uint32_t>(segment.offset));
    lr_scale.push_back(segment.trainable == Trainable::yes ? segment.lr_scale : 0);
    weight_decay.push_back(segment.decay == Decay::yes ? options_.weight_decay : 0);
  }
  bounds.push_back(static_cast<std::uint32_t>(parameters_.flat_size()));
  schedule_ = upload(stream_, schedule.data(), schedule.size() * sizeof(double));
  bounds_ = upload(stream_, bounds.data(), bounds.size() * sizeof(std::uint32_t));
  lr_scale_ = upload(stream_, lr_scale.data(), lr_scale.size() * sizeof(double));
  weight_decay_ = upload(stream_, weight_decay.data(), weight_decay.size() * sizeof(double));
  losses_ = Buffer(stream_.device(), kept_losses * kernels::size_of(parameters_.master_dtype()));
  const auto segments = static_cast<std::int64_t>(lr_scale.size());
  state_.schedule = schedule_.view(DType::f64, {static_cast<std::int64_t>(lr.size()), 3});
  state_.bounds = bounds_.view(DType::u32, {segments + 1});
  state_.lr_scale = lr_scale_.view(DType::f64, {segments});
  state_.weight_decay = weight_decay_.view(DType::f64, {segments});
  state_.losses = losses_.view(parameters_.master_dtype(), {kept_losses});
}

template <class T>
T TrainStep::read(const View& scalar) const {
  T value{};
  stream_.copy(&value, scalar.data, sizeof(T));
  stream_.synchronize();
  return value;
}

void TrainStep::micro_batch(bool first, FiniteCheck* check) {
  if (first) parameters_.begin_gradients();
  Tape tape;
  Context context = workspace_.context(&tape);
  std::optional<Profile> names;  // of the parts of the model
  if (check) context.profile = &names.emplace(stream_);
  context.check = check;
  program_(context, {state_.loss, first ? kernels::Write::overwrite : kernels::Write::accumulate});
  tape.backward(context, tape.last());
  if (!check) return;
  for (std::size_t i = 0; i < parameters_.segments().size(); ++i) {
    const Segment& segment = parameters_.segments()[i];
    if (segment.trainable == Trainable::no) continue;
    check->look("the gradient of " + segment.name,
                parameters_.part(parameters_.gradient(), static_cast<int>(i), segment.shape));
  }
}

StepResult TrainStep::update() {
  workspace_.context();  // lends the scratch
  const DType type = parameters_.master_dtype();
  const std::int64_t current = step();
  parameters_.finish_gradients(stream_);
  launch_update(stream_, parameters_, options_, state_);
  const auto number = [&](const View& v) {
    return type == DType::f64 ? read<double>(v) : static_cast<double>(read<float>(v));
  };
  return {.finite = read<std::int32_t>(state_.finite) == 1,
          .loss = number(state_.loss),
          .gradient_norm = std::sqrt(number(state_.squared_norm)),
          .lr = lr_[std::min(static_cast<std::size_t>(current), lr_.size() - 1)]};  // as kernels/optimizer does
}

std::int64_t TrainStep::step() const { return read<std::uint32_t>(state_.step); }

void TrainStep::set_step(std::int64_t step) {
  const auto value = static_cast<std::uint32_t>(step);
  stream_.copy(state_.step.data, &value, sizeof(value));
  stream_.synchronize();
}

}  // namespace engine
