#include "apps/kernel_times.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "apps/table.h"

namespace apps {
namespace {

using engine::Json;
using engine::OpEntry;
using engine::Span;

std::string shapes_of(const kernels::LaunchRecord& record) {
  std::string text;
  for (const kernels::Field& field : record.fields)
    text += fmt::format(" {}{}", field.name, to_string(field.view.shape));
  return text;
}

/// body(op, launch, span) for every launch.
template <class F>
void for_each_launch(const std::vector<OpEntry>& ops, const std::vector<Span>& spans, F&& body) {
  std::size_t next = 0;
  for (const OpEntry& op : ops) {
    for (const kernels::LaunchRecord& launch : op.launches) body(op, launch, spans.at(next++));
  }
}

Json event(const std::string& name, const char* row, double begin_ms, double ms) {
  return Json::object(
      {{"name", name}, {"ph", "X"}, {"pid", 0}, {"tid", row}, {"ts", begin_ms * 1e3}, {"dur", ms * 1e3}});
}

}  // namespace

const char* phase_of(const OpEntry& op) {
  if (op.range == "update") return "update";
  return op.backward || op.range == "backward" ? "backward" : "forward";
}

KernelTimes kernel_times(const std::vector<OpEntry>& ops, const std::vector<Span>& spans, GroupBy group,
                         const Rates& rates) {
  std::map<std::string, KernelTime> found;
  KernelTimes all;
  for_each_launch(ops, spans, [&](const OpEntry& op, const kernels::LaunchRecord& launch, const Span& span) {
    std::string name = fmt::format("{}={}", launch.kernel, launch.row);
    if (group == GroupBy::shape) name += shapes_of(launch);
    KernelTime& k = found[name + phase_of(op)];
    k.name = name, k.phase = phase_of(op);
    ++k.calls;
    k.ms += span.ms, k.flops += launch.cost.flops, k.bytes += launch.cost.bytes;
    all.ms += span.ms;
    if (!rates.known()) return;
    k.floor_ms += rates.floor(launch.cost) * 1e3;
    all.floor_ms += rates.floor(launch.cost) * 1e3;
  });
  for (auto& [name, time] : found) all.kernels.push_back(std::move(time));
  std::sort(all.kernels.begin(), all.kernels.end(), [](const auto& a, const auto& b) { return a.ms > b.ms; });
  return all;
}

std::string kernel_table(const KernelTimes& times, std::int64_t steps, std::size_t most) {
  std::vector<std::vector<std::string>> rows{
      {"kernel=row", "pass", "calls", "ms", "share", "floor ms", "GFLOP/s", "GB/s"}};
  const auto n = static_cast<double>(steps);
  const auto floor = [&](double ms) { return times.floor_ms > 0 ? thousands(ms / n, 2) : "-"; };
  const auto add = [&](const KernelTime& k) {
    rows.push_back({k.name, k.phase, fmt::format("{:g}", static_cast<double>(k.calls) / n), thousands(k.ms / n, 2),
                    fmt::format("{:.1f} %", 100 * k.ms / times.ms), floor(k.floor_ms),
                    fmt::format("{:.1f}", k.flops / k.ms * 1e-6), fmt::format("{:.1f}", k.bytes / k.ms * 1e-6)});
  };
  KernelTime rest{.name = "the rest"};
  for (std::size_t i = 0; i < times.kernels.size(); ++i) {
    const KernelTime& k = times.kernels[i];
    if (i < most) {
      add(k);
      continue;
    }
    rest.calls += k.calls, rest.ms += k.ms, rest.floor_ms += k.floor_ms, rest.flops += k.flops, rest.bytes += k.bytes;
  }
  if (rest.calls > 0) add(rest);
  return aligned(rows, "llrrrrrr") + fmt::format("{} ms a step in all, floor {}\n", thousands(times.ms / n, 2),
                                                 times.floor_ms > 0 ? floor(times.floor_ms) : "not measured");
}

Json chrome_trace(const std::vector<OpEntry>& ops, const std::vector<Span>& spans, const std::string& device) {
  Json events = Json::array();
  std::size_t next = 0;
  for (const OpEntry& op : ops) {
    const std::size_t first = next;
    for (const kernels::LaunchRecord& launch : op.launches) {
      const Span& span = spans.at(next++);
      Json json = event(fmt::format("{}={}", launch.kernel, launch.row), "kernels", span.begin_ms, span.ms);
      json.add("args", Json::object({{"views", shapes_of(launch)},
                                     {"gflop_per_s", span.ms > 0 ? launch.cost.flops / span.ms * 1e-6 : 0.0},
                                     {"gb_per_s", span.ms > 0 ? launch.cost.bytes / span.ms * 1e-6 : 0.0}}));
      events.add({}, json);
    }
    if (next == first) continue;
    const double begin = spans[first].begin_ms, ms = spans[next - 1].begin_ms + spans[next - 1].ms - begin;
    events.add({}, event(op.op + (op.backward ? " backward" : ""), "ops", begin, ms));
    events.add({}, event(op.range.empty() ? phase_of(op) : op.range, "parts of the model", begin, ms));
  }
  return Json::object({{"traceEvents", events}, {"otherData", Json::object({{"device", device}})}});
}

}  // namespace apps
