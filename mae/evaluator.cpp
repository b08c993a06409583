#include "mae/evaluator.h"

#include <algorithm>
#include <exception>

#include "kernels/core/check.h"
#include "kernels/cpu/parallel.h"
#include "mae/augment.h"

namespace mae {
namespace {

constexpr std::int64_t at_once = 100;  // images: one number, so that scores repeat to the bit wherever they are made

}  // namespace

Evaluator::Evaluator(engine::Workspace& workspace, const Classifier& classifier, kernels::DType pixels)
    : workspace_(workspace),
      classifier_(classifier),
      inputs_(workspace.stream(), classifier.config().encoder,
              {.pixels = pixels, .compute = classifier.parameters().dtype(), .capacity = at_once}),
      every_(workspace.stream(), at_once, classifier.config().encoder.patches()) {
  workspace.include([&](Context& c) { classifier.logits(c, inputs_.images(0, at_once), every_.masking(at_once)); });
}

/// The images of a batch, each by a thread of its own; of several that fail, the first says why.
Batch Evaluator::read(const Dataset& data, std::int64_t first, std::int64_t count) const {
  const Config& config = classifier_.config().encoder;
  const double share = classifier_.config().eval_share;
  const std::size_t bytes = static_cast<std::size_t>(config.image_height) *
                            static_cast<std::size_t>(config.image_width) * static_cast<std::size_t>(config.channels) *
                            kernels::size_of(data.dtype);
  Batch batch;
  batch.pixels.resize(static_cast<std::size_t>(count) * bytes);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));
  kernels::cpu::parallel_for(count, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    try {
      std::byte* out = batch.pixels.data() + at * bytes;
      if (data.view) return fit(data.view(first + i), config.image_height, config.image_width, out, share);
      const Image image = data.image(first + i);
      fit(view_of(image), config.image_height, config.image_width, out, share);
    } catch (...) {
      errors[at] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  for (std::int64_t i = first; i < first + count; ++i) {
    batch.draws.insert(batch.draws.end(), {static_cast<std::uint32_t>(i), 0});
    batch.labels.push_back(data.label ? data.label(i) : -1);
  }
  return batch;
}

Scores Evaluator::run(const Dataset& data, const std::function<void(std::int64_t)>& progress) {
  kernels::Stream& stream = workspace_.stream();
  Scores scores{.count = data.size, .K = classifier_.config().K(), .logits = {}, .labels = {}};
  for (std::int64_t first = 0; first < data.size; first += at_once) {
    const std::int64_t count = std::min(at_once, data.size - first);
    const Batch batch = read(data, first, count);
    const int slot = inputs_.fill(batch, 0, count);
    Context context = workspace_.context();
    const Tensor logits = classifier_.logits(context, inputs_.images(slot, count), every_.masking(count));
    inputs_.release(slot);
    kernels::visit_floating(logits.dtype(), [&]<class T>(T) {
      std::vector<T> host(static_cast<std::size_t>(logits.shape().count()));
      stream.copy(host.data(), logits.view.data, host.size() * sizeof(T));
      stream.synchronize();
      for (const T value : host) scores.logits.push_back(static_cast<double>(value));
    });
    scores.labels.insert(scores.labels.end(), batch.labels.begin(), batch.labels.end());
    if (progress) progress(first + count);
  }
  return scores;
}

}  // namespace mae
