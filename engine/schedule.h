// Learning-rate schedules, as a table over all steps of a run, computed in f64 before training starts.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

/// Steps of an epoch. A fraction where steps run on across epochs: an epoch then has `parts`, of which a step takes
/// `parts_of_step`.
struct StepsPerEpoch {
  std::int64_t parts = 0, parts_of_step = 1;

  constexpr StepsPerEpoch() = default;
  constexpr StepsPerEpoch(std::int64_t steps) : parts(steps) {}
  constexpr StepsPerEpoch(std::int64_t parts_of_epoch, std::int64_t of_step)
      : parts(parts_of_epoch), parts_of_step(of_step) {}

  constexpr double value() const { return static_cast<double>(parts) / static_cast<double>(parts_of_step); }
  /// Epochs after so many steps.
  constexpr double epochs(std::int64_t steps) const {
    return static_cast<double>(steps * parts_of_step) / static_cast<double>(parts);
  }
  /// The whole ones of them.
  constexpr std::int64_t whole_epochs(std::int64_t steps) const { return steps * parts_of_step / parts; }
  /// Steps that fit into so many epochs.
  constexpr std::int64_t steps(double epochs) const {
    return static_cast<std::int64_t>(epochs * static_cast<double>(parts) / static_cast<double>(parts_of_step));
  }
};

/// How often a schedule is read.
enum class Pace { step, epoch };

/// Linear warm-up, then a cosine down to min_lr.
/// Pace::step (MAE, recipe of the official code): read once per optimizer step, with the fractional epoch
/// e = step / steps_per_epoch, so the first update runs at lr 0:
///     e < warmup:  lr e / warmup        else  min_lr + (lr - min_lr) (1 + cos(pi (e - warmup) / (epochs - warmup))) /
///     2
/// Pace::epoch (IcarusWizard/MAE @ 11c21fc): one value for an epoch, counted from 0, and for the steps that end in it:
///     min_lr + (lr - min_lr) min((e + 1) / warmup, (1 + cos(pi e / epochs)) / 2)
struct WarmupCosine {
  double lr = 0, min_lr = 0;
  double warmup_epochs = 0, epochs = 0;
  StepsPerEpoch steps_per_epoch{};
  Pace pace = Pace::step;

  std::int64_t steps() const { return steps_per_epoch.steps(epochs); }
  double at(std::int64_t step) const;
  std::vector<double> table() const;
};

}  // namespace engine
