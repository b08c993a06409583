#include "engine/tape.h"

#include "kernels/elementwise.h"

namespace engine {
namespace {

/// "the output of attention in blocks.3"
std::string place(const std::string& what, const std::string& op, const std::string& range) {
  return what + op + (range.empty() ? "" : " in " + range);
}

}  // namespace

Tensor Context::tensor(const Shape& shape, DType type) const {
  const std::size_t bytes = static_cast<std::size_t>(shape.count()) * kernels::size_of(type);
  auto storage = std::make_shared<Storage>(arena, bytes);
  void* data = arena.at(storage->offset);
  return {.view = kernels::view_of(data, type, shape), .storage = std::move(storage), .gradient = nullptr};
}

void Tape::record(Context& context, const char* op, Tensor& y, std::initializer_list<Tensor> kept, Backward backward) {
  y.gradient = std::make_shared<Gradient>();
  double bytes = 0;
  for (const Tensor& tensor : kept) {
    if (tensor.storage && kept_.insert(tensor.storage.get()).second)
      bytes += static_cast<double>(tensor.storage->bytes);
  }
  if (context.profile) context.profile->keep(bytes);
  const std::string range = context.profile ? context.profile->range() : std::string();
  if (context.check) context.check->look(place("the output of ", op, range), y.view);
  records_.push_back({op, range, gradient_only(y), std::move(backward)});
}

void Tape::backward(Context& context, const Tensor& loss) {
  launch(context.stream, kernels::Fill{.out = gradient_target(context, loss).view, .value = 1});
  unwind(context);
}

void Tape::unwind(Context& context) {
  Context untaped = context;  // backward ops do not record themselves
  untaped.tape = nullptr;
  kept_.clear();
  while (!records_.empty()) {
    Record record = std::move(records_.back());
    records_.pop_back();
    Gradient& dy = *record.y.gradient;
    if (!dy) continue;  // nothing downstream depended on this output
    const OpScope scope(context.profile, record.op, record.range);
    if (context.check) context.check->look(place("the gradient of the output of ", record.op, record.range), dy.view);
    record.backward(untaped, dy);
    dy = {};
  }
}

GradientTarget gradient_target(Context& context, const Tensor& x) {
  Gradient& gradient = *x.gradient;
  if (gradient) return {gradient.view, kernels::Write::accumulate};
  const Tensor fresh = context.like(x);
  gradient = {fresh.view, fresh.storage};
  return {gradient.view, kernels::Write::overwrite};
}

void give_gradient(Context& context, const Tensor& x, Gradient gradient) {
  if (!tracked(x)) return;
  if (*x.gradient) {
    launch(context.stream, kernels::Accumulate{.x = gradient.view, .out = x.gradient->view});
  } else {
    *x.gradient = std::move(gradient);
  }
}

}  // namespace engine
