#include "engine/workspace.h"

#include <algorithm>

namespace engine {

void Workspace::include(const std::function<void(Context&)>& work) {
  kernels::Stream dry(stream_.device(), kernels::StreamMode::dry);
  dry.copy_choices(stream_);
  Arena arena;
  Context context{.stream = dry, .arena = arena, .dtype = dtype_};
  work(context);
  activations_ = std::max(activations_, arena.peak());
  scratch_ = std::max(scratch_, dry.scratch_wanted());
}

void Workspace::reserve() {
  arena_.reserve(stream_.device(), activations_);
  scratch_buffer_ = Buffer(stream_.device(), scratch_);
}

Context Workspace::context(Tape* tape) {
  stream_.lend_scratch(scratch_buffer_.data(), scratch_);
  return {.stream = stream_, .arena = arena_, .dtype = dtype_, .tape = tape};
}

MemoryPlan plan_memory(const Parameters& parameters, const Workspace& workspace) {
  const double n = static_cast<double>(parameters.flat_size()),
               master = static_cast<double>(kernels::size_of(parameters.master_dtype()));
  return {.parameters = n * (master + (parameters.dtype() == DType::bf16 ? 2 : 0)),
          .gradients = n * master,
          .moments = 2 * n * master,
          .activations = static_cast<double>(workspace.activations()),
          .scratch = static_cast<double>(workspace.scratch())};
}

}  // namespace engine
