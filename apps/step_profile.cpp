#include "apps/step_profile.h"

#include <fmt/core.h>

#include <filesystem>
#include <optional>

#include "apps/kernel_times.h"
#include "apps/output_file.h"
#include "apps/step_match.h"
#include "apps/table.h"
#include "apps/version.h"
#include "kernels/cpu/parallel.h"

namespace apps {
namespace {

/// The newest of this device in bench/results of the sources.
std::optional<MeasuredRates> rates_of(const kernels::Device& device, kernels::DType compute) try {
  if (!std::filesystem::is_directory(results_folder)) return {};
  const StepResults results = read_step_results(results_folder);
  const Work work{.step = {.compute = compute},
                  .device = device,
                  .processor = processor_name(),
                  .threads = kernels::cpu::threads(),
                  .rows = {}};
  const MeasuredRates* found = newest_rates(results, work);
  return found ? std::optional(*found) : std::nullopt;
} catch (const kernels::Error&) {
  return {};  // a damaged file there does not take a run's profile with it
}

}  // namespace

std::string StepProfile::report(const std::string& trace_path) const {
  constexpr std::size_t shown = 20;
  if (taken_ == 0) return fmt::format("--profile: no step was profiled: the run ended before step {}", first_);
  write_json(trace_path, chrome_trace(ops_, spans_, stream_.device().name));
  const std::optional<MeasuredRates> measured = rates_of(stream_.device(), compute_);
  Rates rates;
  std::string source;
  if (measured) {
    rates = {measured->products.at(name_of(compute_)), measured->copy};
    source = fmt::format("floor: at {} GFLOP/s or {} GB/s, as {} says\n", thousands(rates.flops * 1e-9, 1),
                         thousands(rates.bytes * 1e-9, 1), measured->origin.file);
  }
  const KernelTimes times = kernel_times(ops_, spans_, GroupBy::kernel, rates);
  return fmt::format("kernels of a step, mean of {}, launch by launch; as a trace for ui.perfetto.dev in {}\n{}{}",
                     taken_, trace_path, kernel_table(times, taken_, shown), source);
}

void StepProfile::keep(engine::Profile& profile) {
  const double end = spans_.empty() ? 0 : spans_.back().begin_ms + spans_.back().ms;
  for (const engine::Span& span : profile.spans()) spans_.push_back({end + span.begin_ms, span.ms});
  ops_.insert(ops_.end(), profile.ops().begin(), profile.ops().end());
  ++taken_;
}

}  // namespace apps
