#include "engine/workspace.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/core/philox.h"

namespace engine {
namespace {

/// Numbers between 0.5 and 2 of either sign, in bf16 and in f32: zeros would be faster than any real data.
std::vector<std::byte> noise(std::size_t bytes) {
  std::vector<std::byte> all(bytes);
  for (std::size_t at = 0; at + 16 <= bytes; at += 16) {
    auto [words] = kernels::philox({.block = static_cast<std::uint32_t>(at / 16)}, {});
    for (std::uint32_t& word : words) word = (word & 0x80ff80ff) | 0x3f003f00;
    std::memcpy(&all[at], words, 16);
  }
  return all;
}

}  // namespace

void Workspace::include(const std::function<void(Context&)>& work) {
  kernels::Stream dry(stream_.device(), kernels::StreamMode::dry);
  dry.copy_choices(stream_);
  Arena arena;
  Context context{.stream = dry, .arena = arena, .dtype = dtype_};
  work(context);
  activations_ = std::max(activations_, arena.peak());
  scratch_ = std::max(scratch_, dry.scratch_wanted());
  tunings_.insert(tunings_.end(), dry.tunings.begin(), dry.tunings.end());
}

void Workspace::tune() {
  const auto tunings = std::exchange(tunings_, {});
  std::size_t bytes = 0;
  for (const kernels::Tuning& t : tunings) bytes = std::max(bytes, t.bytes);
  if (bytes == 0) return;
  const Buffer operands(stream_.device(), bytes);
  auto* memory = static_cast<std::byte*>(operands.data());
  const std::vector<std::byte> some = noise(std::size_t{1} << 20);
  for (std::size_t at = 0; at < bytes; at += some.size())
    stream_.copy(memory + at, some.data(), std::min(some.size(), bytes - at));
  for (const kernels::Tuning& t : tunings) t.run(stream_, memory);
  stream_.synchronize();
}

void Workspace::reserve() {
  scratch_buffer_ = Buffer(stream_.device(), scratch_);
  stream_.lend_scratch(scratch_buffer_.data(), scratch_);
  tune();
  arena_.reserve(stream_.device(), activations_);
}

Context Workspace::context(Tape* tape) {
  stream_.lend_scratch(scratch_buffer_.data(), scratch_);
  return {.stream = stream_, .arena = arena_, .dtype = dtype_, .tape = tape};
}

MemoryPlan plan_memory(const Parameters& parameters, const Workspace& workspace) {
  const double n = static_cast<double>(parameters.flat_size()),
               trained = static_cast<double>(parameters.trained_range().elements),
               master = static_cast<double>(kernels::size_of(parameters.master_dtype()));
  return {.parameters = n * (master + (parameters.dtype() == DType::bf16 ? 2 : 0)),
          .gradients = trained * master,
          .moments = 2 * trained * master,
          .activations = static_cast<double>(workspace.activations()),
          .scratch = static_cast<double>(workspace.scratch())};
}

}  // namespace engine
