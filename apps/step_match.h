// Which of the measured steps counts for a run that is planned.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/step_plan.h"
#include "apps/step_results.h"

namespace apps {

/// What is to be run.
struct Work {
  StepPlanOptions step;
  std::int64_t parameters = 0;
  kernels::Device device;
  std::string processor;          // name of the CPU
  int threads = 1;                // of the CPU
  std::vector<std::string> rows;  // forced
};

/// Of the steps of this model in this precision on this device, those whose micro-batch is nearest, by a ratio of four
/// at most; of these the newest. Null: there are none.
///
/// "cuda" is the GPU of that name; a made-up device every GPU that it stands for; "cpu" the processor of that name with
/// as many threads. A model is the same where its sizes and its number of parameters are.
const MeasuredStep* nearest_step(const StepResults& results, const Work& work);

/// The newest rates of the device that include its products in this precision. Null: there are none.
const MeasuredRates* newest_rates(const StepResults& results, const Work& work);

/// "AMD EPYC": of this machine's CPU, as its rows call it; empty where the system does not say.
std::string processor_name();

}  // namespace apps
