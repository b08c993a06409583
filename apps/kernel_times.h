// What the kernels of some steps took: a table for people, and a trace for chrome://tracing and Perfetto.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/json.h"
#include "engine/profile.h"

namespace apps {

/// "forward", "backward" or "update".
const char* phase_of(const engine::OpEntry& op);

/// What a device does at the best, as measured: FLOP/s of a large product, bytes/s of a large copy. Zeros: not known.
struct Rates {
  double flops = 0, bytes = 0;

  bool known() const { return flops > 0 && bytes > 0; }
  /// The least seconds that this takes: its FLOPs' or its bytes', whichever are more.
  double floor(const kernels::Cost& cost) const { return std::max(cost.flops / flops, cost.bytes / bytes); }
};

/// All launches of one kernel and row, or of these at one shape.
struct KernelTime {
  std::string name;   // "matmul=tiled"; by shape also its views, " a(400, 768) b(3072, 768) ..."
  std::string phase;  // "forward", "backward", "update"
  std::int64_t calls = 0;
  double ms = 0, flops = 0, bytes = 0;
  double floor_ms = 0;  // 0: the rates are not known
};

struct KernelTimes {
  std::vector<KernelTime> kernels;  // the longest first
  double ms = 0, floor_ms = 0;      // of all
};

enum class GroupBy { kernel, shape };

/// `ops` and `spans` of one profile (engine/profile.h), of one step or of several.
KernelTimes kernel_times(const std::vector<engine::OpEntry>& ops, const std::vector<engine::Span>& spans, GroupBy group,
                         const Rates& rates);

/// Columns kernel, calls, ms, share, floor in ms (where rates are known), GFLOP/s, GB/s for one of `steps` steps; the
/// first `most` kernels, then the rest in a line.
std::string kernel_table(const KernelTimes& times, std::int64_t steps, std::size_t most);

/// Trace Event Format: a line each for the kernels, the ops, and the parts of the model that they stand in.
engine::Json chrome_trace(const std::vector<engine::OpEntry>& ops, const std::vector<engine::Span>& spans,
                          const std::string& device);

}  // namespace apps
