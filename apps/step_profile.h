// What the kernels of some steps of a run took: --profile N of `mae pretrain`.
#pragma once

#include <string>
#include <vector>

#include "engine/profile.h"

namespace apps {

/// Steps `first` to first + count - 1 are profiled.
class StepProfile {
 public:
  StepProfile(kernels::Stream& stream, kernels::DType compute, std::int64_t first, std::int64_t count)
      : stream_(stream), compute_(compute), first_(first), count_(count) {}

  bool wants(std::int64_t step) const { return step >= first_ && step < first_ + count_; }
  bool wanted() const { return count_ > 0; }

  /// Runs the work of one step and keeps what it launched.
  template <class Work>
  auto take(Work&& work) {
    engine::Profile profile(stream_, engine::Timing::yes);
    auto result = work(profile);
    keep(profile);
    return result;
  }

  /// The kernels by time, beside their floors where bench/results has rates of this device; or that no step was
  /// profiled. Writes the trace, whole or not at all.
  std::string report(const std::string& trace_path) const;

 private:
  void keep(engine::Profile& profile);

  kernels::Stream& stream_;
  kernels::DType compute_;
  std::int64_t first_, count_, taken_ = 0;
  std::vector<engine::OpEntry> ops_;
  std::vector<engine::Span> spans_;  // one step behind the other
};

}  // namespace apps
