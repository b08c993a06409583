#include "engine/schedule.h"

#include <cmath>

#include "tests/support/catch.h"

using engine::Pace, engine::StepsPerEpoch, engine::WarmupCosine;

namespace {

bool near(double a, double b) { return std::abs(a - b) <= 1e-12 * std::abs(b); }

}  // namespace

TEST_CASE("epochs of a whole number of steps, and of a fraction") {
  const StepsPerEpoch whole = 12, eighths(98, 8), thirds(7, 3);
  CHECK(whole.value() == 12);
  CHECK(whole.whole_epochs(11) == 0);
  CHECK(whole.whole_epochs(12) == 1);
  CHECK(eighths.value() == 12.25);
  CHECK(eighths.steps(2000) == 24'500);
  CHECK(eighths.steps(150) == 1837);  // the half that is left makes no step
  CHECK(eighths.whole_epochs(12) == 0);
  CHECK(eighths.whole_epochs(13) == 1);
  CHECK(eighths.whole_epochs(49) == 4);
  CHECK(eighths.epochs(49) == 4);
  for (std::int64_t e = 1; e < 1000; ++e) CHECK(thirds.whole_epochs(7 * e) == 3 * e);
}

TEST_CASE("learning rates by epoch: the pretraining of the small CIFAR-10 recipe") {
  const WarmupCosine schedule{
      .lr = 2.4e-3, .warmup_epochs = 200, .epochs = 2000, .steps_per_epoch = {98, 8}, .pace = Pace::epoch};
  CHECK(schedule.table().size() == 24'500);
  CHECK(near(schedule.at(0), 1.2e-5));
  CHECK(near(schedule.at(11), 1.2e-5));
  CHECK(near(schedule.at(12), 2.4e-5));  // its last two parts of eight are the first of epoch 1
  const auto of_epoch = [&](std::int64_t e) { return schedule.at(49 * e / 4 + 1); };
  CHECK(near(of_epoch(194), 2.34e-3));  // the last of the warm-up, which the cosine cuts off
  CHECK(near(of_epoch(195), 2.344145006782801e-3));
  CHECK(near(of_epoch(1000), 1.2e-3));
  CHECK(std::abs(schedule.at(24'499) - 1.48044e-9) <= 1e-14);
}

TEST_CASE("learning rates by epoch: its classifier, and one without warm-up") {
  WarmupCosine schedule{.lr = 5e-4, .warmup_epochs = 5, .epochs = 100, .steps_per_epoch = 391, .pace = Pace::epoch};
  CHECK(schedule.steps() == 39'100);
  CHECK(near(schedule.at(0), 1e-4));
  CHECK(near(schedule.at(390), 1e-4));
  CHECK(near(schedule.at(391), 2e-4));
  CHECK(near(schedule.at(391 * 5), 4.969220851487844e-4));
  CHECK(near(schedule.at(391 * 50), 2.5e-4));
  schedule.warmup_epochs = 0;
  schedule.min_lr = 1e-4;
  CHECK(near(schedule.at(0), 5e-4));
  CHECK(near(schedule.at(391 * 50), 3e-4));
}
