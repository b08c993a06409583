// bench_kernels: every kernel, row, shape and type on a device, timed beside the least time that the machine allows.
// docs/benchmarking.md says how, and what the columns mean.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "bench/ceilings.h"
#include "bench/contest.h"
#include "bench/loader.h"
#include "bench/options.h"
#include "bench/report.h"

namespace bench {
namespace {

using engine::Json;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// What one device has done so far.
struct Run {
  Json results = Json::array(), not_run = Json::array();
  int failures = 0;
};

void list_cases(const std::vector<Case>& cases, const Device& device, const Options& options) {
  for (const Case& c : cases) {
    for (const Work& work : c.works(device, options.all_variations)) {
      std::string rows;
      for (const Row& row : work.rows) rows += " " + row.name + (row.refusal.empty() ? "" : " (" + row.refusal + ")");
      fmt::print("{} {} {} {} {}:{}\n", name_of(device.kind), work.kernel, work.shape, name_of(work.dtype),
                 work.variation, rows);
    }
  }
}

void run_work(const Work& work, const Device& device, const Options& options, const Ceilings& ceilings, Run& run) {
  Contest contest;
  try {
    contest = run_contest(work, device, {.protocol = options.protocol, .rows = options.rows, .check = options.check});
  } catch (const Error& error) {
    for (const Row& row : work.rows) {
      if (row.refusal.empty()) contest.results.push_back({.row = row, .error = error.what()});
    }
  }
  for (const Result& result : contest.results)
    run.failures += !result.error.empty() || (result.checked.done && !result.checked.passed);
  fmt::print("{}", table_lines(work, contest, ceilings));
  std::fflush(stdout);
  add_results(run.results, work, contest, ceilings);
}

/// Number of rows that threw or were wrong.
int run_device(const Device& device, const std::vector<Kernel>& kernels, const Options& options, Json& all) {
  const double begin = now();
  std::vector<std::string> unknown;
  const std::vector<Case> cases = chosen_cases(options, kernels, device, unknown);
  for (const std::string& why : unknown) fmt::print("left out: {}\n", why);
  if (options.list) return list_cases(cases, device, options), 0;

  std::set<DType> types;
  for (const Case& c : cases) types.insert(c.dtype);
  const bool gpu = device.kind == DeviceKind::cuda;
  if (gpu) types.erase(DType::f64);  // no row has it
  Json origin = origin_of(device);
  const Ceilings ceilings = measure_ceilings(device, kernels, {types.begin(), types.end()});
  fmt::print("{}: {}; copy {:.1f} GB/s", name_of(device.kind), origin.at("name").text, ceilings.bandwidth.rate * 1e-9);
  for (const auto& [type, ceiling] : ceilings.products)
    fmt::print(", {} product {:.1f} GFLOP/s", name_of(type), ceiling.rate * 1e-9);
  fmt::print("\n\n{}", table_head());

  origin.add("ceilings", to_json(ceilings));
  origin.add("min_time_s", options.protocol.min_time).add("rounds", options.protocol.rounds);
  Run run;
  for (const std::string& why : unknown) run.not_run.add({}, why);
  const auto write = [&] {
    Json json = origin;
    json.add("seconds", now() - begin).add("results", run.results).add("not_run", run.not_run);
    if (options.json.empty()) return json;
    Json so_far = all;
    write_json(options.json, Json::object({{"runs", so_far.add({}, json)}}));
    return json;
  };
  for (const Case& c : cases) {
    if (options.budget > 0 && now() - begin > options.budget) {
      run.not_run.add({}, fmt::format("{} {} {}: the budget was spent", c.kernel->name, c.shape, name_of(c.dtype)));
      continue;
    }
    for (const Work& work : c.works(device, options.all_variations)) run_work(work, device, options, ceilings, run);
    write();
  }
  all.add({}, write());
  if (!run.not_run.items.empty()) fmt::print("{} cases were not run: the JSON says why\n", run.not_run.items.size());
  return run.failures;
}

int run(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  if (options.help) return fmt::print("{}", help_text()), 0;
  const std::vector<Kernel> kernels = all_kernels();
  const std::vector<Device> devices = chosen_devices(options);
  Json all = Json::array();
  int failures = 0;
  std::vector<std::string> unknown;
  for (const Device& device : devices)
    chosen_cases(options, kernels, device, unknown);  // refuse before timing anything
  for (const Device& device : devices) failures += run_device(device, kernels, options, all);
  if (failures) fmt::print(stderr, "bench_kernels: {} rows are wrong or have failed\n", failures);
  return failures ? 1 : 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    if (argc > 1 && std::string(argv[1]) == "loader") return bench::run_loader(argc - 1, argv + 1);
    return bench::run(argc, argv);
  } catch (const kernels::Error& error) {
    fmt::print(stderr, "bench_kernels: {}{}\n", error.what(), error.advice().empty() ? "" : "; try " + error.advice());
    return 2;
  }
}
