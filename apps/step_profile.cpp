#include "apps/step_profile.h"

#include <fmt/core.h>

#include "apps/kernel_times.h"
#include "apps/output_file.h"

namespace apps {

std::string StepProfile::report(const std::string& trace_path) const {
  constexpr std::size_t shown = 20;
  if (taken_ == 0) return fmt::format("--profile: no step was profiled: the run ended before step {}", first_);
  write_json(trace_path, chrome_trace(ops_, spans_, stream_.device().name));
  return fmt::format("kernels of a step, mean of {}, launch by launch; as a trace for ui.perfetto.dev in {}\n{}",
                     taken_, trace_path, kernel_table(kernel_times(ops_, spans_, GroupBy::kernel), taken_, shown));
}

void StepProfile::keep(engine::Profile& profile) {
  const double end = spans_.empty() ? 0 : spans_.back().begin_ms + spans_.back().ms;
  for (const engine::Span& span : profile.spans()) spans_.push_back({end + span.begin_ms, span.ms});
  ops_.insert(ops_.end(), profile.ops().begin(), profile.ops().end());
  ++taken_;
}

}  // namespace apps
