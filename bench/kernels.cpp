#include "bench/kernels.h"

#include <fmt/format.h>

#include <cstdio>
#include <set>

#include "apps/cli.h"
#include "apps/output_file.h"
#include "apps/progress.h"
#include "bench/ceilings.h"
#include "bench/choice.h"
#include "bench/clocks.h"
#include "bench/contest.h"
#include "bench/once.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/table.h"
#include "engine/files.h"

namespace bench {
namespace {

using engine::Json;

/// What all devices have done so far.
struct Report {
  const Options& options;
  Json runs = Json::array();
  std::string markdown;
  int failures = 0;  // rows that threw or were wrong
};

/// What one device has done so far.
struct Run {
  const Device& device;
  Ceilings ceilings;
  Json origin, results = Json::array(), not_run = Json::array();
  std::vector<Dot> dots;
  bool doubtful = false, rounded = false;
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

/// The work of --once: its first variation where it has several.
Work the_one(const std::vector<Case>& cases, const Device& device) {
  if (cases.size() != 1)
    throw apps::UsageError(fmt::format("one launch is wanted, and {} cases are chosen", cases.size()), "--once",
                           "--kernel, one --shape and one --dtype; or --case, for a variation");
  return cases[0].works(device, false).at(0);
}

/// On the screen and in the Markdown.
void say(Report& report, const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
  report.markdown += text;
}

void add_dots(std::vector<Dot>& dots, const Work& work, const Contest& contest) {
  for (const Result* r : contest.by_time()) {
    dots.push_back({.work = fmt::format("{} {} {}", work.kernel, work.shape, name_of(work.dtype)) +
                            (work.variation ? fmt::format(" ({})", work.variation) : ""),
                    .row = r->row.name,
                    .intensity = work.cost.flops / work.cost.bytes,
                    .rate = work.cost.flops / r->times.median * 1e6,
                    .vendor = r->row.vendor});
  }
}

void run_work(const Work& work, Run& run, Report& report) {
  const Options& options = report.options;
  const Contest contest = run_contest(work, run.device,
                                      {.protocol = options.protocol,
                                       .rows = options.rows,
                                       .check = options.check,
                                       .hot = options.hot,
                                       .facts = options.wide});
  for (const Result& result : contest.results) report.failures += !result.counts();
  const Block block = block_of(work, run.device, contest, run.ceilings, options.wide);
  add_dots(run.dots, work, contest);
  fmt::print("{}", text_of(block));
  std::fflush(stdout);
  report.markdown += markdown_of(block);
  run.doubtful |= block.doubtful, run.rounded |= block.rounded;
  add_results(run.results, work, contest, run.ceilings);
}

/// Device, commit and ceilings, in a few lines.
std::string opening(const Run& run) {
  const bool gpu = run.device.kind == DeviceKind::cuda;
  std::string text = fmt::format("{}: {}{}, commit {}\n", name_of(run.device.kind), run.origin.at("name").text,
                                 gpu ? ", driver " + run.origin.at("driver").text : "", run.origin.at("commit").text);
  const auto line = [&](const std::string& what, const Ceiling& c, double unit, const char* name) {
    text += fmt::format("  {:<13} {:8.1f} {:<8} {}\n", what, c.rate / unit, name, c.what);
  };
  line("copy", run.ceilings.bandwidth, 1e9, "GB/s");
  for (const auto& [type, ceiling] : run.ceilings.products)
    line(fmt::format("{} product", name_of(type)), ceiling, gpu ? 1e12 : 1e9, gpu ? "TFLOP/s" : "GFLOP/s");
  for (const auto& [type, ceiling] : run.ceilings.fma)
    if (type != DType::bf16) line(fmt::format("{} fma", name_of(type)), ceiling, 1e9, "GFLOP/s");
  return text;
}

/// A GPU's clocks; of the CPU the multiply-adds, which follow its clock.
std::string clocks_text(const Run& run, const char* when) {
  if (run.device.kind == DeviceKind::cuda) {
    const std::string clocks = clocks_of(run.device);
    return fmt::format("  clocks {}: {}\n", when, clocks.empty() ? "nvidia-smi does not say" : clocks);
  }
  const Ceiling fma = measure_fma(DType::f32);
  return fmt::format("  clocks {}: f32 fma {:.1f} GFLOP/s\n", when, fma.rate * 1e-9);
}

void write_picture(const Run& run, const std::string& path) {
  Roofline roofline{
      .title = "Roofline: " + run.origin.at("name").text, .bandwidth = run.ceilings.bandwidth.rate, .dots = run.dots};
  for (const auto& [type, ceiling] : run.ceilings.products)
    roofline.roofs.push_back({fmt::format("{} product", name_of(type)), ceiling.rate});
  for (const auto& [type, ceiling] : run.ceilings.fma) {
    if (type != DType::bf16) roofline.roofs.push_back({fmt::format("{} multiply-adds", name_of(type)), ceiling.rate});
  }
  apps::write_png(path, draw(roofline));
}

Json json_of(const Run& run, double seconds) {
  Json json = run.origin;
  return json.add("seconds", seconds).add("results", run.results).add("not_run", run.not_run);
}

void run_cases(const std::vector<Case>& cases, Run& run, Report& report) {
  const double begin = apps::clock_seconds();
  const Options& options = report.options;
  const auto write = [&] {
    if (options.json.empty()) return;
    Json so_far = report.runs;
    apps::write_json(options.json,
                     Json::object({{"runs", so_far.add({}, json_of(run, apps::clock_seconds() - begin))}}));
  };
  for (const Case& c : cases) {
    if (options.budget > 0 && apps::clock_seconds() - begin > options.budget) {
      run.not_run.add({}, fmt::format("{} {} {}: the budget was spent", c.kernel->name, c.shape, name_of(c.dtype)));
      continue;
    }
    for (const Work& work : c.works(run.device, options.all_variations)) run_work(work, run, report);
    write();
  }
  write();  // with what was not run
  report.runs.add({}, json_of(run, apps::clock_seconds() - begin));
}

void run_device(const Device& device, const std::vector<Kernel>& kernels, Report& report) {
  const Options& options = report.options;
  std::vector<std::string> unknown;
  const std::vector<Case> cases = chosen_cases(options, kernels, device, unknown);
  for (const std::string& why : unknown) fmt::print("left out: {}\n", why);
  if (options.list) return list_cases(cases, device, options);
  if (!options.once.empty()) return run_once(the_one(cases, device), device, options.once);

  std::set<DType> types;
  for (const Case& c : cases) types.insert(c.dtype);
  if (device.kind == DeviceKind::cuda) types.erase(DType::f64);  // no row has it
  Run run{.device = device,
          .ceilings = measure_ceilings(device, kernels, {types.begin(), types.end()}),
          .origin = origin_of(device)};
  run.origin.add("ceilings", to_json(run.ceilings)).add("min_time_s", options.protocol.min_time);
  run.origin.add("max_time_s", options.protocol.max_time).add("rounds", options.protocol.rounds);
  for (const std::string& why : unknown) run.not_run.add({}, why);
  const std::string before = clocks_text(run, "before");
  run.origin.add("clocks_before", before.substr(before.find(": ") + 2));
  say(report, opening(run) + before + "\n");
  run_cases(cases, run, report);
  if (!options.picture.empty()) write_picture(run, options.picture);
  say(report, mark_notes(run.doubtful, run.rounded) + clocks_text(run, "after"));
  if (!run.not_run.items.empty())
    fmt::print("cases that were not run: {}; the JSON says why\n", run.not_run.items.size());
}

}  // namespace

int run_kernels(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) return 0;
  const std::vector<Kernel> kernels = all_kernels();
  const std::vector<Device> devices = chosen_devices(options);
  if (!options.picture.empty() && devices.size() > 1)
    throw apps::UsageError("a picture has the ceilings of one device", "--picture", "one --device");
  std::vector<std::string> unknown;
  for (const Device& device : devices)
    chosen_cases(options, kernels, device, unknown);  // refuse before timing anything
  Report report{.options = options};
  for (const Device& device : devices) run_device(device, kernels, report);
  if (!options.markdown.empty())
    engine::write_atomically(options.markdown, [&](engine::FileWriter& file) { file.write(report.markdown); });
  if (report.failures) fmt::print(stderr, "rows that are wrong or have failed: {}\n", report.failures);
  return report.failures ? 1 : 0;
}

}  // namespace bench
