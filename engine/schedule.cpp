#include "engine/schedule.h"

#include <algorithm>
#include <cmath>

namespace engine {
namespace {

double half_cosine(double share) { return (1 + std::cos(M_PI * share)) / 2; }

}  // namespace

double WarmupCosine::at(std::int64_t step) const {
  if (pace == Pace::epoch) {
    const std::int64_t last_part = (step + 1) * steps_per_epoch.parts_of_step - 1;
    const auto e = static_cast<double>(last_part / steps_per_epoch.parts);
    const double warm = warmup_epochs > 0 ? (e + 1) / warmup_epochs : 1;
    return min_lr + (lr - min_lr) * std::min(warm, half_cosine(e / epochs));
  }
  const double e = steps_per_epoch.epochs(step);
  if (e < warmup_epochs) return lr * e / warmup_epochs;
  return min_lr + (lr - min_lr) * half_cosine((e - warmup_epochs) / (epochs - warmup_epochs));
}

std::vector<double> WarmupCosine::table() const {
  std::vector<double> values(static_cast<std::size_t>(steps()));
  for (std::size_t s = 0; s < values.size(); ++s) values[s] = at(static_cast<std::int64_t>(s));
  return values;
}

}  // namespace engine
