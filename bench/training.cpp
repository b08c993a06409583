#include "bench/training.h"

#include <algorithm>
#include <cstring>

#include "apps/progress.h"
#include "kernels/core/philox.h"

namespace bench {
namespace {

constexpr std::uint32_t batches = 4;    // used in turn
constexpr std::int64_t steps = 100000;  // of the schedule: more than anybody times

/// Random bytes as pixels; draws of samples that follow each other.
mae::Batch random_batch(const mae::Config& c, std::int64_t count, std::uint32_t number) {
  mae::Batch batch;
  batch.pixels.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(c.image_height) *
                      static_cast<std::size_t>(c.image_width) * static_cast<std::size_t>(c.channels));
  for (std::size_t i = 0; i < batch.pixels.size(); i += 16) {
    const kernels::PhiloxWords words = kernels::philox({static_cast<std::uint32_t>(i / 16), number}, {});
    std::memcpy(batch.pixels.data() + i, words.w, std::min<std::size_t>(16, batch.pixels.size() - i));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    batch.draws.push_back(number * static_cast<std::uint32_t>(count) + static_cast<std::uint32_t>(i));
    batch.draws.push_back(0);
    batch.labels.push_back(-1);
  }
  return batch;
}

std::vector<mae::Batch> random_batches(const StepOptions& o) {
  std::vector<mae::Batch> all;
  for (std::uint32_t i = 0; i < batches && o.input != Input::loader; ++i)
    all.push_back(random_batch(o.config, o.batch, i));
  return all;
}

mae::LoaderOptions loader_of(const StepOptions& o) {
  mae::LoaderOptions options = o.loader;
  options.batch = o.batch;
  options.height = o.config.image_height;
  options.width = o.config.image_width;
  return options;
}

mae::Recipe recipe_of(const StepOptions& o) {
  return {.batch = o.batch, .micro_batch = o.micro_batch, .epochs = 1, .warmup_epochs = 0.1};
}

kernels::DType pixels_of(const StepOptions& o) { return o.input == Input::loader ? o.data.dtype : kernels::DType::u8; }

}  // namespace

Training::Training(kernels::Stream& stream, const StepOptions& o)
    : batches_(random_batches(o)),
      pretraining_(stream, o.config,
                   {.recipe = recipe_of(o),
                    .compute = o.compute,
                    .pixels = pixels_of(o),
                    .steps_per_epoch = steps,
                    .replay = o.replay},
                   o.execution),
      input_(o.input),
      ahead_(stream.device().kind == kernels::DeviceKind::cuda) {
  if (input_ == Input::loader) {
    loader_.emplace(o.data, loader_of(o));
    queue_.emplace(*loader_, pretraining_.training(), ahead_ ? apps::LookAhead::yes : apps::LookAhead::no);
    queue_->prepare(0);
    first_batch_seconds_ = loader_->wait_seconds();
  }
  for (int i = 0; i < engine::steps_under_way && input_ == Input::resident; ++i)  // fills every input slot
    finished(pretraining_.training().step(batches_[next_++ % batches]));
}

void Training::finished(const engine::StepResult& result) {
  if (!result.finite) throw kernels::Error("the loss or a gradient is not finite", "mae bench step");
  loss_ = result.loss;
}

void Training::start() {
  if (input_ == Input::resident) pretraining_.training().start_on_resident();
  else pretraining_.training().start(batches_[next_++ % batches]);
}

void Training::one_step(bool another_follows) {
  if (queue_) {
    const auto step = static_cast<std::int64_t>(next_++);
    queue_->prepare(step);
    return finished(queue_->run(step, [&] { return another_follows; }).result);
  }
  if (pretraining_.training().under_way() == 0) start();
  if (ahead_ && another_follows) start();
  finished(pretraining_.training().finish());
}

std::vector<double> Training::run(int count) {
  std::vector<double> seconds;
  double before = apps::clock_seconds();
  for (int i = 1; i <= count; ++i) {
    one_step(i < count);
    const double end = apps::clock_seconds();
    seconds.push_back(end - before);
    before = end;
  }
  return seconds;
}

void Training::run(engine::Profile& profile) {
  const std::size_t step = next_++;
  finished(loader_ ? pretraining_.training().step(loader_->get(static_cast<std::int64_t>(step)), profile)
                   : pretraining_.training().step(batches_[step % batches], profile));
}

}  // namespace bench
