// What `mae bench step` says of steps of one batch, input and way of launching: a row of its table and of its JSON.
#pragma once

#include <string>
#include <vector>

#include "apps/kernel_times.h"
#include "bench/timing.h"
#include "bench/training.h"
#include "engine/json.h"

namespace bench {

const char* name_of(Input input);            // "ready", "loader", "resident"
const char* name_of(engine::Replay launch);  // "graph", "eager"

struct StepTiming {
  double seconds = 5;   // that are timed, at least three steps
  int warm_up = 3;      // steps before
  std::string profile;  // "kernel" or "shape": prints the kernels of one more step by time; empty: no such step
};

struct StepTimes {
  Input input = Input::ready;
  engine::Replay launch = engine::Replay::yes;
  std::int64_t batch = 0;
  Times times;  // us: of a step
  double images_per_second = 0, flops_per_second = 0, peak_bytes = 0, launches = 0, loss = 0;
  double waited = 0;               // part of the time that the host waited for the loader
  double first_batch_seconds = 0;  // until the loader had the first batch: with the first epoch's order
  std::int64_t parameters = 0;
};

/// `rates`: for the floors of the kernels of timing.profile. Throws kernels::Error as Training does.
StepTimes measure_step(kernels::Stream& stream, const StepOptions& options, const StepTiming& timing,
                       const apps::Rates& rates);

/// `waited`: with the column of the wait for the loader. `ceiling`: FLOP/s.
std::vector<std::string> step_heading(bool waited);
std::vector<std::string> step_row(const StepTimes& times, double ceiling, bool waited);
engine::Json to_json(const StepTimes& times);

}  // namespace bench
