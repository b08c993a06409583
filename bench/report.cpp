#include "bench/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#include "apps/step_match.h"
#include "apps/version.h"

namespace bench {
namespace {

using engine::Json;

struct Floor {
  double us = 0;
  bool by_bytes = true;
};

Floor floor_of(const Work& work, const Ceilings& ceilings) {
  Floor floor;
  floor.us = ceilings.floor_us(work.cost, work.dtype, floor.by_bytes);
  return floor;
}

double rate(double amount, double us) { return us > 0 ? amount / us * 1e-3 : 0; }  // 10^9 a second

/// "580.159.04" of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  ..."
std::string driver() {
  std::ifstream in("/proc/driver/nvidia/version");
  std::string line;
  std::getline(in, line);
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    if (word.find_first_not_of("0123456789.") == std::string::npos && word.find('.') != std::string::npos) return word;
  }
  return "none";
}

Json views_of(const Work& work) {
  Json views = Json::array();
  for (const Field& field : work.fields) {
    views.add({}, Json::object({{"name", field.name},
                                {"role", name_of(field.role)},
                                {"dtype", name_of(field.view.dtype)},
                                {"shape", to_string(field.view.shape)}}));
  }
  return views;
}

Json check_json(const Checked& checked) {
  if (!checked.done) return Json::object({{"verdict", "not checked"}, {"why", checked.note}});
  return Json::object({{"verdict", checked.passed ? "passed" : "failed"},
                       {"relative_l2", checked.worst},
                       {"bound", checked.bound},
                       {"worst_output", checked.note}});
}

}  // namespace

void add_results(Json& results, const Work& work, const Contest& contest, const Ceilings& ceilings) {
  const Floor floor = floor_of(work, ceilings);
  const auto about = [&](const Row& row) {
    return Json::object({{"kernel", work.kernel},
                         {"row", row.name},
                         {"vendor", row.vendor},
                         {"shape", work.shape},
                         {"dtype", name_of(work.dtype)},
                         {"variation", work.variation}});
  };
  for (const Row& row : contest.refused) results.add({}, about(row).add("refuses", row.refusal));
  const double vendor_us = contest.best_vendor_us(), peak = ceilings.peak(work.dtype);
  for (const Result& r : contest.results) {
    Json json = about(r.row);
    if (!r.error.empty()) {
      results.add({}, json.add("error", r.error));
      continue;
    }
    const double us = r.times.median;
    json.add("median_us", us).add("p10_us", r.times.p10).add("p90_us", r.times.p90);
    json.add("median_within_percent", std::min(r.times.doubt, 10.0) * 100);
    if (r.hot_us > 0) json.add("hot_us", r.hot_us);
    if (vendor_us > 0 && r.counts()) json.add("ratio_to_vendor", vendor_us / us);
    json.add("samples", r.times.us.size()).add("launches_a_sample", r.times.launches);
    json.add("gb_per_s", rate(work.cost.bytes, us)).add("gflop_per_s", rate(work.cost.flops, us));
    json.add("least_bytes", work.cost.bytes).add("least_flops", work.cost.flops);
    json.add("floor_us", floor.us).add("percent_of_floor", us > 0 ? floor.us / us * 100 : 0.0);
    if (peak > 0) json.add("percent_of_peak", work.cost.flops / us * 1e6 / peak * 100);
    json.add("bound_by", floor.by_bytes ? "bytes" : "flops").add("tuned", r.row.tunes);
    json.add("reduced_precision", r.row.reduced_precision).add("workspace_bytes", r.row.workspace);
    json.add("operand_sets", contest.sets).add("operand_bytes", contest.bytes);
    json.add("check", check_json(r.checked)).add("views", views_of(work));
    results.add({}, json);
  }
}

Json to_json(const Ceilings& ceilings) {
  const auto rates = [](const std::map<DType, Ceiling>& of) {
    Json json = Json::object({});
    for (const auto& [type, ceiling] : of)
      json.add(name_of(type), Json::object({{"gflop_per_s", ceiling.rate * 1e-9}, {"of", ceiling.what}}));
    return json;
  };
  const Json copy = Json::object({{"gb_per_s", ceilings.bandwidth.rate * 1e-9}, {"of", ceilings.bandwidth.what}});
  return Json::object({{"copy", copy}, {"product", rates(ceilings.products)}, {"fma", rates(ceilings.fma)}});
}

Json origin_of(const Device& device) {
  const char* commit = std::getenv("MAE_COMMIT");
  const std::time_t now = std::time(nullptr);
  const bool gpu = device.kind == DeviceKind::cuda;
  return Json::object({{"date", fmt::format("{:%FT%TZ}", fmt::gmtime(now))},
                       {"commit", commit && *commit ? commit : apps::commit},
                       {"device", name_of(device.kind)},
                       {"name", gpu ? device.name : apps::processor_name()},
                       {"parallel", device.multiprocessors},
                       {"capability", device.capability},
                       {"driver", gpu ? driver() : "none"}});
}

}  // namespace bench
