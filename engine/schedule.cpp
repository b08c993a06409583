#include "engine/schedule.h"

#include <cmath>

namespace engine {

double WarmupCosine::at(std::int64_t step) const {
  const double e = static_cast<double>(step) / static_cast<double>(steps_per_epoch);
  if (e < warmup_epochs) return lr * e / warmup_epochs;
  return min_lr + (lr - min_lr) * (1 + std::cos(M_PI * (e - warmup_epochs) / (epochs - warmup_epochs))) / 2;
}

std::vector<double> WarmupCosine::table() const {
  std::vector<double> values(static_cast<std::size_t>(steps()));
  for (std::size_t s = 0; s < values.size(); ++s) values[s] = at(static_cast<std::int64_t>(s));
  return values;
}

}  // namespace engine
