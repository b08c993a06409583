#include "bench/step_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "apps/kernel_times.h"
#include "apps/step_plan.h"
#include "apps/table.h"

namespace bench {
namespace {

using engine::Json;

void add_times(StepTimes& result, Training& training, double seconds) {
  Times& times = result.times;
  const double first = training.run(1)[0], waited = training.wait_seconds();
  const std::vector<double> each = training.run(std::max(3, static_cast<int>(seconds / first)));
  result.waited = (training.wait_seconds() - waited) / std::accumulate(each.begin(), each.end(), 0.0);
  for (const double s : each) times.us.push_back(s * 1e6);
  times.launches = 1;
  times.median = quantile(times.us, 0.5), times.p10 = quantile(times.us, 0.1), times.p90 = quantile(times.us, 0.9);
}

double launches_of(const kernels::Device& device, const StepOptions& o) {
  kernels::Stream dry(device, kernels::StreamMode::dry);
  return apps::plan_step(dry, {.config = o.config,
                               .execution = o.execution,
                               .batch = o.batch,
                               .micro_batch = o.micro_batch > 0 ? o.micro_batch : o.batch,
                               .compute = o.compute})
      .launches;
}

void print_profile(Training& training, kernels::Stream& stream, const std::string& by, const apps::Rates& rates) {
  constexpr std::size_t shown = 60;
  engine::Profile profile(stream, engine::Timing::yes);
  training.run(profile);
  const apps::GroupBy group = by == "shape" ? apps::GroupBy::shape : apps::GroupBy::kernel;
  fmt::print("\n{}\n", kernel_table(kernel_times(profile.ops(), profile.spans(), group, rates), 1, shown));
}

}  // namespace

const char* name_of(Input input) {
  return input == Input::loader ? "loader" : input == Input::resident ? "resident" : "ready";
}

const char* name_of(engine::Replay launch) { return launch == engine::Replay::yes ? "graph" : "eager"; }

StepTimes measure_step(kernels::Stream& stream, const StepOptions& o, const StepTiming& timing,
                       const apps::Rates& rates) {
  Training training(stream, o);
  training.run(timing.warm_up);
  StepTimes result{.input = o.input, .launch = o.replay, .batch = o.batch, .times = {}};
  add_times(result, training, timing.seconds);
  result.images_per_second = static_cast<double>(o.batch) / (result.times.median * 1e-6);
  result.flops_per_second = result.images_per_second * mae::official_training_flops(o.config);
  result.peak_bytes = training.peak_bytes();
  result.loss = training.loss();
  result.first_batch_seconds = training.first_batch_seconds();
  result.parameters = training.parameters();
  result.launches = launches_of(stream.device(), o);
  if (!timing.profile.empty()) print_profile(training, stream, timing.profile, rates);
  return result;
}

std::vector<std::string> step_heading(bool waited) {
  std::vector<std::string> cells{"input",       "launch",        "batch",     "ms a step", "p10 - p90", "images/s",
                                 "ms an image", "model GFLOP/s", "% of peak", "memory",    "launches"};
  if (waited) cells.emplace_back("% waited");
  return cells;
}

std::vector<std::string> step_row(const StepTimes& r, double ceiling, bool waited) {
  const auto ms = [](double us) { return apps::thousands(us * 1e-3, 2); };
  std::vector<std::string> cells{name_of(r.input),
                                 name_of(r.launch),
                                 apps::thousands(r.batch),
                                 ms(r.times.median),
                                 ms(r.times.p10) + " - " + ms(r.times.p90),
                                 apps::thousands(r.images_per_second, 1),
                                 ms(r.times.median / static_cast<double>(r.batch)),
                                 apps::thousands(r.flops_per_second * 1e-9, 1),
                                 fmt::format("{:.1f}", 100 * r.flops_per_second / ceiling),
                                 apps::bytes_text(r.peak_bytes),
                                 apps::thousands(static_cast<std::int64_t>(r.launches))};
  if (waited) cells.push_back(r.input == Input::loader ? fmt::format("{:.1f}", 100 * r.waited) : "-");
  return cells;
}

Json to_json(const StepTimes& r) {
  Json json = Json::object({{"input", name_of(r.input)},
                            {"launch", name_of(r.launch)},
                            {"batch", r.batch},
                            {"median_us", r.times.median},
                            {"p10_us", r.times.p10},
                            {"p90_us", r.times.p90},
                            {"samples", r.times.us.size()},
                            {"images_per_s", r.images_per_second},
                            {"model_gflop_per_s", r.flops_per_second * 1e-9},
                            {"peak_bytes", r.peak_bytes},
                            {"launches", r.launches},
                            {"loss", r.loss}});
  if (r.input == Input::loader) json.add("percent_waited", 100 * r.waited).add("first_batch_s", r.first_batch_seconds);
  return json;
}

}  // namespace bench
