// Learning-rate schedules, as a table over all steps of a run, computed in f64 before training starts.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

/// Linear warm-up from 0, then half a cosine down to min_lr (MAE, recipe of the official code): with the fractional
/// epoch e = step / steps_per_epoch,
///     e < warmup:  lr e / warmup        else  min_lr + (lr - min_lr) (1 + cos(pi (e - warmup) / (epochs - warmup))) /
///     2
/// It is read once per optimizer step, so the first update runs at lr 0.
struct WarmupCosine {
  double lr = 0, min_lr = 0;
  double warmup_epochs = 0, epochs = 0;
  std::int64_t steps_per_epoch = 0;

  std::int64_t steps() const { return static_cast<std::int64_t>(epochs * static_cast<double>(steps_per_epoch)); }
  double at(std::int64_t step) const;
  std::vector<double> table() const;
};

}  // namespace engine
