#include "apps/step_match.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

#include "apps/model_sizes.h"

namespace apps {
namespace {

using Sizes = std::map<std::string, double>;

constexpr double most_apart = 4;  // micro-batches, by ratio: beyond it images a second are others

/// What drivers call the devices that `mae plan` makes up; those of an A100 differ in how they are plugged in.
struct StandsFor {
  const char* made_up;
  std::vector<const char*> names;
};
const std::vector<StandsFor>& stand_ins() {
  static const std::vector<StandsFor> all{
      {"h100-80", {"NVIDIA H100 80GB HBM3"}},
      {"h200-141", {"NVIDIA H200"}},
      {"a100-80", {"NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe"}},
      {"a100-40", {"NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"}},
      {"l4-24", {"NVIDIA L4"}},
      {"rtx4090-24", {"NVIDIA GeForce RTX 4090"}},
  };
  return all;
}

bool same_device(const Origin& origin, const Work& work) {
  const kernels::Device& device = work.device;
  if (origin.kind != name_of(device.kind)) return false;
  if (device.kind != kernels::DeviceKind::cuda)
    return !work.processor.empty() && origin.device == work.processor &&
           origin.threads.value_or(work.threads) == work.threads;
  if (device.present) return origin.device == device.name;
  for (const StandsFor& entry : stand_ins()) {
    if (device.name == entry.made_up)
      return std::find(entry.names.begin(), entry.names.end(), origin.device) != entry.names.end();
  }
  return false;
}

/// Those that fix the work of a step. Normalised targets and epsilons do not, and the rest follows from the others.
Sizes sizes_of(const Work& work) {
  static const std::set<std::string> left_out{"ln_eps", "mask_ratio", "flops"};
  Sizes sizes;
  const engine::Json model = model_sizes(work.step.config, work.parameters);
  for (const engine::Json& size : model.items) {
    const bool number = size.kind == engine::Json::Kind::number || size.kind == engine::Json::Kind::integer;
    if (number && !left_out.contains(size.key)) sizes[size.key] = size.as_double();
  }
  return sizes;
}

bool same_model(const Sizes& measured, const Sizes& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& size) {
    const auto found = measured.find(size.first);
    return found != measured.end() && found->second == size.second;
  });
}

bool same_execution(const mae::Execution& a, const mae::Execution& b) {
  const auto& fields = mae::execution_fields();
  return std::all_of(fields.begin(), fields.end(), [&](const auto& f) { return a.*f.member == b.*f.member; });
}

double times_apart(std::int64_t a, std::int64_t b) {
  return static_cast<double>(std::max(a, b)) / static_cast<double>(std::min(a, b));
}

/// Dates of one form in the order of time; a day stands before its hours.
auto time_of(const Origin& origin) { return std::tie(origin.date, origin.file); }

}  // namespace

const MeasuredStep* nearest_step(const StepResults& results, const Work& work) {
  const MeasuredStep* best = nullptr;
  const Sizes sizes = sizes_of(work);
  const auto apart = [&](const MeasuredStep& s) { return times_apart(s.micro_batch, work.step.micro_batch); };
  for (const MeasuredStep& s : results.steps) {
    if (apart(s) > most_apart) continue;
    if (s.dtype != name_of(work.step.compute) || !s.replayed || s.rows != work.rows) continue;
    if (!same_device(s.origin, work) || !same_model(s.sizes, sizes) ||
        !same_execution(s.execution, work.step.execution))
      continue;
    if (!best || apart(s) < apart(*best) || (apart(s) == apart(*best) && time_of(s.origin) > time_of(best->origin)))
      best = &s;
  }
  return best;
}

const MeasuredRates* newest_rates(const StepResults& results, const Work& work) {
  const MeasuredRates* best = nullptr;
  for (const MeasuredRates& r : results.rates) {
    if (!same_device(r.origin, work) || !r.products.contains(name_of(work.step.compute))) continue;
    if (!best || time_of(r.origin) > time_of(best->origin)) best = &r;
  }
  return best;
}

std::string processor_name() {
  const std::string key = "model name";
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_not_of(" \t:", key.size());
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace apps
