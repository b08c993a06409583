#include "engine/step.h"

#include <algorithm>
#include <cmath>

#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace engine {
namespace {

enum Scalar { loss_slot, norm_slot, clip_slot, finite_slot, step_slot, scalar_count };
constexpr std::size_t scalar_stride = 64;   // bytes: one line each
constexpr std::int64_t kept_losses = 1024;  // ring of the losses of the last steps

Buffer upload(kernels::Stream& stream, const void* data, std::size_t bytes) {
  Buffer buffer(stream.device(), bytes);
  stream.copy(buffer.data(), data, bytes);
  stream.synchronize();
  return buffer;
}

}  // namespace

TrainStep::TrainStep(Workspace& workspace, Parameters& parameters, const AdamWOptions& options,
                     const std::vector<double>& lr, Program program)
    : workspace_(workspace),
      stream_(workspace.stream()),
      parameters_(parameters),
      options_(options),
      program_(std::move(program)),
      scalars_(stream_.device(), scalar_count * scalar_stride) {
  upload_tables(lr);
  set_step(0);
  const DType type = parameters.master_dtype();
  workspace.include([&](Context& context) {
    Tape tape;
    context.tape = &tape;
    program_(context, {scalar(loss_slot, type), kernels::Write::overwrite});
    tape.backward(context, tape.last());
    launch(context.stream, kernels::SquaredNorm{.x = parameters.gradient(), .out = scalar(norm_slot, type)});
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
}

View TrainStep::scalar(int slot, DType type) const {
  return kernels::view_of(static_cast<std::byte*>(scalars_.data()) + static_cast<std::size_t>(slot) * scalar_stride,
                          type, {1});
}

template <class T>
T TrainStep::read(const View& scalar) const {
  T value{};
  stream_.copy(&value, scalar.data, sizeof(T));
  stream_.synchronize();
  return value;
}

void TrainStep::micro_batch(bool first) {
  if (first) parameters_.begin_gradients();
  Tape tape;
  Context context = workspace_.context(&tape);
  program_(context, {scalar(loss_slot, parameters_.master_dtype()),
                     first ? kernels::Write::overwrite : kernels::Write::accumulate});
  tape.backward(context, tape.last());
}

StepResult TrainStep::update() {
  workspace_.context();  // lends the scratch
  const DType type = parameters_.master_dtype();
  const std::int64_t segments = static_cast<std::int64_t>(parameters_.segments().size());
  const View loss = scalar(loss_slot, type), norm = scalar(norm_slot, type), clip = scalar(clip_slot, type);
  const View finite = scalar(finite_slot, DType::i32), step_counter = scalar(step_slot, DType::u32);
  const std::int64_t current = step();
  parameters_.finish_gradients(stream_);
  launch(stream_, kernels::SquaredNorm{.x = parameters_.gradient(), .out = norm});
  launch(stream_,
         kernels::StepGuard{
             .loss = loss, .squared_norm = norm, .finite = finite, .clip = clip, .max_norm = options_.max_norm});
  launch(stream_, kernels::AdamW{.gradient = parameters_.gradient(),
                                 .schedule = schedule_.view(DType::f64, {static_cast<std::int64_t>(lr_.size()), 3}),
                                 .step = step_counter,
                                 .finite = finite,
                                 .clip = clip,
                                 .bounds = bounds_.view(DType::u32, {segments + 1}),
                                 .lr_scale = lr_scale_.view(DType::f64, {segments}),
                                 .weight_decay = weight_decay_.view(DType::f64, {segments}),
                                 .master = parameters_.master(),
                                 .moment1 = parameters_.moment1(),
                                 .moment2 = parameters_.moment2(),
                                 .compute = parameters_.compute(),
                                 .beta1 = options_.beta1,
                                 .beta2 = options_.beta2,
                                 .eps = options_.eps});
  launch(stream_,
         kernels::StepAdvance{
             .loss = loss, .finite = finite, .step = step_counter, .losses = losses_.view(type, {kept_losses})});
  const auto number = [&](const View& v) {
    return type == DType::f64 ? read<double>(v) : static_cast<double>(read<float>(v));
  };
  return {.finite = read<std::int32_t>(finite) == 1,
          .loss = number(loss),
          .gradient_norm = std::sqrt(number(norm)),
          .lr = lr_[std::min(static_cast<std::size_t>(current), lr_.size() - 1)]};  // as kernels/optimizer does
}

std::int64_t TrainStep::step() const { return read<std::uint32_t>(scalar(step_slot, DType::u32)); }

void TrainStep::set_step(std::int64_t step) {
  const auto value = static_cast<std::uint32_t>(step);
  stream_.copy(scalar(step_slot, DType::u32).data, &value, sizeof(value));
  stream_.synchronize();
}

}  // namespace engine
