#include "mae/image_pass.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "kernels/cpu/parallel.h"
#include "mae/augment.h"

namespace mae {
namespace {

constexpr std::int64_t at_once = 100;  // images: one number, so that values repeat to the bit wherever they are made

}  // namespace

ImagePass::ImagePass(engine::Workspace& workspace, const Config& config, kernels::DType pixels, double share,
                     Network network)
    : workspace_(workspace),
      config_(config),
      share_(share),
      network_(std::move(network)),
      inputs_(workspace.stream(), config, {.pixels = pixels, .compute = workspace.dtype(), .capacity = at_once}),
      every_(workspace.stream(), at_once, config.patches()) {
  workspace.include([this](Context& c) { network_(c, inputs_.images(0, at_once), every_.masking(at_once)); });
}

/// The images of a batch, each by a thread of its own; of several that fail, the first says why.
Batch ImagePass::read(const Dataset& data, std::int64_t first, std::int64_t count) const {
  const int height = config_.image_height, width = config_.image_width;
  const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                            static_cast<std::size_t>(config_.channels) * kernels::size_of(data.dtype);
  Batch batch;
  batch.pixels.resize(static_cast<std::size_t>(count) * bytes);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));
  kernels::cpu::parallel_for(count, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    try {
      std::byte* out = batch.pixels.data() + at * bytes;
      if (data.view) return fit(data.view(first + i), height, width, out, share_);
      const Image image = data.image(first + i);
      fit(view_of(image), height, width, out, share_);
    } catch (...) {
      errors[at] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  for (std::int64_t i = first; i < first + count; ++i)
    batch.draws.insert(batch.draws.end(), {static_cast<std::uint32_t>(i), 0});
  return batch;
}

std::vector<std::int32_t> ImagePass::run(const Dataset& data, const std::function<void(std::span<const double>)>& take,
                                         const std::function<void(std::int64_t)>& progress) {
  kernels::Stream& stream = workspace_.stream();
  // A GPU's rows may want more scratch for fewer images, and what was planned is at_once: there the last pass has
  // rows that nobody reads, of whatever lies in the slot.
  const bool whole = stream.device().kind != kernels::DeviceKind::cpu;
  for (std::int64_t first = 0; first < data.size; first += at_once) {
    const std::int64_t count = std::min(at_once, data.size - first), N = whole ? at_once : count;
    const int slot = inputs_.fill(read(data, first, count), 0, count);
    Context context = workspace_.context();
    const Tensor rows = network_(context, inputs_.images(slot, N), every_.masking(N));
    inputs_.release(slot);
    kernels::visit_floating(rows.dtype(), [&]<class T>(T) {
      std::vector<T> host(static_cast<std::size_t>(count * rows.shape()[1]));
      stream.copy(host.data(), rows.view.data, host.size() * sizeof(T));
      stream.synchronize();
      const std::vector<double> wide(host.begin(), host.end());
      take(wide);
    });
    if (progress) progress(first + count);
  }
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < data.size; ++i) labels.push_back(data.label ? data.label(i) : -1);
  return labels;
}

}  // namespace mae
