#include "bench/training.h"

#include <algorithm>
#include <cstring>

#include "apps/progress.h"
#include "kernels/core/philox.h"

namespace bench {
namespace {

constexpr std::size_t batches = 4;      // used in turn
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

std::vector<mae::Batch> random_batches(const mae::Config& c, std::int64_t count) {
  std::vector<mae::Batch> all;
  for (std::size_t i = 0; i < batches; ++i) all.push_back(random_batch(c, count, static_cast<std::uint32_t>(i)));
  return all;
}

mae::Recipe recipe_of(const StepOptions& o) {
  return {.batch = o.batch, .micro_batch = o.micro_batch, .epochs = 1, .warmup_epochs = 0.1};
}

}  // namespace

Training::Training(kernels::Stream& stream, const StepOptions& o)
    : batches_(random_batches(o.config, o.batch)),
      pretraining_(stream, o.config, recipe_of(o), o.compute, kernels::DType::u8, steps, o.replay, o.execution),
      ahead_(stream.device().kind == kernels::DeviceKind::cuda) {}

void Training::finish() {
  const engine::StepResult result = pretraining_.finish();
  if (!result.finite) throw kernels::Error("the loss or a gradient is not finite", "mae bench step");
  loss_ = result.loss;
}

std::vector<double> Training::run(int count) {
  std::vector<double> seconds;
  double before = apps::clock_seconds();
  int queued = 0;
  while (static_cast<int>(seconds.size()) < count) {
    if (queued < count && pretraining_.under_way() < (ahead_ ? engine::steps_under_way : 1)) {
      pretraining_.start(batches_[next_++ % batches]);
      ++queued;
      continue;
    }
    finish();
    const double end = apps::clock_seconds();
    seconds.push_back(end - before);
    before = end;
  }
  return seconds;
}

}  // namespace bench
