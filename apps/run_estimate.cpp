#include "apps/run_estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "apps/cli.h"
#include "apps/table.h"
#include "apps/version.h"
#include "mae/loader.h"
#include "mae/pretraining.h"

namespace apps {
namespace {

using engine::Json;

std::int64_t steps_of(const PlannedRun& run, std::int64_t batch) {
  return mae::steps_per_epoch(run.data_size, batch, run.part).steps(run.epochs);
}

// ---- text -----------------------------------------------------------------------------------------------------------

std::string hours_text(double hours) {
  const std::string text = thousands(hours, hours < 10 ? 2 : 1) + " h";
  return hours < 48 ? text : fmt::format("{} ({} days)", text, thousands(hours / 24, 1));
}

/// "2026-11-27 at d11a01f, NVIDIA H100 80GB HBM3 (step_h100_2026-11-27.json)"
std::string source_text(const Origin& o) {
  const std::string day = o.date.empty() ? "on an unknown day" : o.date.substr(0, 10),
                    commit = o.commit.empty() ? "an unknown commit" : o.commit.substr(0, 7);
  return printable(fmt::format("{} at {}, {} ({})", day, commit, o.device, o.file));
}

std::string measured_text(const RunEstimate& e, const std::string& results) {
  if (!e.measured)
    return fmt::format("no measured step in {} is of this model, precision and device, and of some such micro-batch\n",
                       results);
  const MeasuredStep& m = *e.measured;
  std::string batch = "batch " + thousands(m.batch);
  if (m.micro_batch != m.batch) batch += fmt::format(" = {} x {}", m.batch / m.micro_batch, thousands(m.micro_batch));
  if (m.micro_batch != e.micro_batch) batch += fmt::format(", not at {}", thousands(e.micro_batch));
  return fmt::format("from the newest matching step in {}: {} images/s, measured at {}, {}\n", results,
                     thousands(m.images_per_s, m.images_per_s < 100 ? 2 : 0), batch, source_text(m.origin));
}

std::string floor_text(const RunEstimate& e) {
  if (!e.rates && !e.measured) return "not measured, and no ceiling of this device was either: no floor\n";
  if (!e.rates) return "no ceiling of this device was measured: no floor\n";
  return fmt::format("floor {}: each launch at {} GFLOP/s or {} GB/s, whichever takes longer; measured {}\n",
                     hours_text(e.floor_hours), thousands(e.rates->products.at(e.dtype) * 1e-9, 1),
                     thousands(e.rates->copy * 1e-9, 1), source_text(e.rates->origin));
}

Json json_of(const Origin& o) {
  return Json::object({{"date", o.date}, {"commit", o.commit}, {"device", o.device}, {"file", o.file}});
}

}  // namespace

void add_run_options(OptionTable& options, PlannedRun& run) {
  run.epochs = mae::Recipe{}.epochs;
  options.group("How long a run takes");
  options.add("data_size", run.data_size, "images of the data set: how long a run takes, too; 0: not asked");
  options.add("epochs", run.epochs, "of the run, with --data-size");
  options.add("drop_last", run.drop_last, "as of mae pretrain; without, --micro-batch says how an epoch is cut");
  options.add("results", run.results, "measured steps, a file or a folder; as it is: bench/results of the sources")
      .shown_as("PATH");
}

bool run_wanted(const OptionTable& options, const PlannedRun& run, std::int64_t batch) {
  if (run.data_size == 0) {
    for (const char* key : {"epochs", "results"}) {
      const std::string source = options.source_of(key);
      if (source.starts_with("--"))
        throw UsageError(source + " is of a run, and --data-size is missing", "mae plan", "--data-size 1281167");
    }
    return false;
  }
  mae::validate(mae::Recipe{.batch = batch, .epochs = run.epochs, .warmup_epochs = 0});
  if (run.data_size < batch || run.data_size > std::numeric_limits<std::uint32_t>::max())
    throw kernels::Error(fmt::format("a batch of {} from {} images", batch, run.data_size), "--data-size",
                         "at least --batch images, and fewer than 2^32");
  if (steps_of(run, batch) < 1) throw kernels::Error("the run has no step", "--epochs", "more of them");
  return true;
}

StepResults results_of(const PlannedRun& run) {
  if (!run.results.empty()) return read_step_results(run.results);
  return std::filesystem::is_directory(results_folder) ? read_step_results(results_folder) : StepResults{};
}

double floor_seconds(const StepPlan& plan, double micro_batches, const Rates& rates) {
  double seconds = 0;
  for (const engine::OpEntry& op : plan.ops) {
    for (const kernels::LaunchRecord& launch : op.launches) {
      seconds += rates.floor(launch.cost) * (op.range == "update" ? 1 : micro_batches);
    }
  }
  return seconds;
}

RunEstimate estimate_run(kernels::Stream& stream, const PlannedRun& run, const Work& work, const StepPlan& plan,
                         const StepResults& results) {
  const StepPlanOptions& o = work.step;
  const double memory = memory_for_training(work.device);
  RunEstimate e{.data_size = run.data_size,
                .epochs = run.epochs,
                .steps = steps_of(run, o.batch),
                .batch = o.batch,
                .micro_batch = o.micro_batch,
                .largest_batch = largest_batch(stream, o, memory),
                .largest_micro_batch = largest_micro_batch(stream, o, memory),
                .measured = {},
                .rates = {},
                .dtype = name_of(o.compute),
                .gpu = work.device.kind == kernels::DeviceKind::cuda};
  e.images = run.part == 0 ? e.steps * o.batch : std::llround(run.epochs * static_cast<double>(run.data_size));
  const auto steps = static_cast<double>(e.steps), images = static_cast<double>(e.images);
  if (const MeasuredStep* found = nearest_step(results, work)) {
    e.measured = *found;
    e.hours = images / found->images_per_s / 3600;
  }
  if (const MeasuredRates* found = newest_rates(results, work)) {
    const double micro_batches = static_cast<double>(o.batch) / static_cast<double>(o.micro_batch);
    e.rates = *found;
    e.floor_hours = steps / 3600 * floor_seconds(plan, micro_batches, {found->products.at(e.dtype), found->copy});
  }
  return e;
}

std::string to_text(const RunEstimate& e, const std::string& results) {
  const bool fits = e.micro_batch <= e.largest_batch;
  const std::string time = !fits        ? fmt::format("micro-batches of {} do not fit", thousands(e.micro_batch))
                           : e.measured ? hours_text(e.hours)
                           : e.rates    ? "not measured, floor " + hours_text(e.floor_hours)
                                        : "not measured";
  const std::string largest = e.largest_batch == 0
                                  ? "none"
                                  : fmt::format("{} images; of a batch of {}: {}", thousands(e.largest_batch),
                                                thousands(e.batch), thousands(e.largest_micro_batch));
  const std::vector<std::vector<std::string>> rows{{fmt::format("a run of {:g} epochs", e.epochs), ""},
                                                   {"images of the data set", thousands(e.data_size)},
                                                   {"steps", thousands(e.steps)},
                                                   {"wall-clock time", time},
                                                   {e.gpu ? "GPU-hours, on 1 GPU" : "device-hours, on 1 device", time},
                                                   {"largest micro-batch that fits", largest}};
  return aligned(rows, "ll") + measured_text(e, results) + floor_text(e);
}

Json to_json(const RunEstimate& e) {
  Json measured, ceilings;
  if (e.measured) {
    measured = json_of(e.measured->origin);
    measured.add("batch", e.measured->batch).add("micro_batch", e.measured->micro_batch);
    measured.add("images_per_s", e.measured->images_per_s);
  }
  if (e.rates) {
    ceilings = json_of(e.rates->origin);
    ceilings.add("copy_gb_per_s", e.rates->copy * 1e-9);
    ceilings.add("product_gflop_per_s", e.rates->products.at(e.dtype) * 1e-9);
  }
  const Json hours = e.measured ? Json(e.hours) : Json(), floor = e.rates ? Json(e.floor_hours) : Json();
  return Json::object({{"data_size", e.data_size},
                       {"epochs", e.epochs},
                       {"steps", e.steps},
                       {"images", e.images},
                       {"devices", 1},
                       {"fits", e.micro_batch <= e.largest_batch},
                       {"hours", hours},
                       {"device_hours", hours},
                       {"floor_hours", floor},
                       {"largest_batch", e.largest_batch},
                       {"largest_micro_batch", e.largest_micro_batch},
                       {"measured", measured},
                       {"ceilings", ceilings}});
}

}  // namespace apps
