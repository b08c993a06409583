// How long a pretraining run takes: as measured, or, where nobody has measured such a step, at the least.
//
//     steps  = epochs x floor(images of the data set / batch), or, with --no-drop-last, as the loader counts parts
//     hours  = images of all steps / images per second of the nearest measured step
//     floor  = steps x sum over a step's launches of max(FLOPs / product rate, bytes / copy rate)
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/kernel_times.h"
#include "apps/options.h"
#include "apps/step_match.h"
#include "engine/json.h"

namespace apps {

struct PlannedRun {
  std::int64_t data_size = 0;  // images of an epoch; 0: no run is asked for
  double epochs = 0;
  bool drop_last = true;
  std::int64_t part = 0;  // as mae::LoaderOptions has it
  std::string results;  // file or folder; empty: bench/results of the sources
};

/// Adds --data-size, --epochs and --results; the recipe's epochs are the default.
void add_run_options(OptionTable& options, PlannedRun& run);

/// Whether a run is asked for. Throws UsageError for --epochs or --results without --data-size, and kernels::Error for
/// epochs that cannot be, or a data set that fills no batch. A config's epochs alone ask for nothing.
bool run_wanted(const OptionTable& options, const PlannedRun& run, std::int64_t batch);

/// The measurements of --results, or of bench/results, where it is no error that there are none.
StepResults results_of(const PlannedRun& run);

struct RunEstimate {
  std::int64_t data_size = 0;
  double epochs = 0;
  std::int64_t steps = 0, images = 0;  // of the whole run
  std::int64_t batch = 0, micro_batch = 0;
  std::int64_t largest_batch = 0;        // images that the device holds at once; 0: not even one
  std::int64_t largest_micro_batch = 0;  // of these what divides the batch, and so can be --micro-batch
  std::optional<MeasuredStep> measured;
  std::optional<MeasuredRates> rates;
  double hours = 0;        // with `measured`: what its images per second make of the run
  double floor_hours = 0;  // with `rates`
  std::string dtype;
  bool gpu = false;
};

/// Seconds that a step of `micro_batches` takes at the least: the sum of its launches' floors.
double floor_seconds(const StepPlan& plan, double micro_batches, const Rates& rates);

/// `plan`: of work.step, on a stream with the same device and rows. One device does all of the work.
RunEstimate estimate_run(kernels::Stream& stream, const PlannedRun& run, const Work& work, const StepPlan& plan,
                         const StepResults& results);

/// A few lines; `results` is what the user calls the place of the measurements.
std::string to_text(const RunEstimate& estimate, const std::string& results);
engine::Json to_json(const RunEstimate& estimate);  // what is not known is null

}  // namespace apps
