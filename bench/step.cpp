#include "bench/step.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/device_options.h"
#include "apps/kernel_times.h"
#include "apps/model_options.h"
#include "apps/output_file.h"
#include "apps/step_plan.h"
#include "apps/table.h"
#include "bench/ceilings.h"
#include "bench/report.h"
#include "bench/training.h"
#include "kernels/cpu/parallel.h"
#include "mae/config_text.h"

namespace bench {
namespace {

using engine::Json;

struct StepCommand {
  StepOptions step;
  apps::DeviceOptions device;
  std::vector<int> batches{8};
  std::string dtype = "f32", json, profile;
  double seconds = 5;
  int warm_up = 3;
  bool graph = true, describe = false, serve = false;
};

void add_options(apps::OptionTable& t, StepCommand& o) {
  t.group("Step");
  t.add("batch", o.batches, "images of a step; several are timed one after the other: 8,16,32");
  t.add("micro_batch", o.step.micro_batch, "images that the device holds at once; 0: the batch");
  t.add("dtype", o.dtype, "of the computation").one_of({"f32", "bf16", "f64"});
  t.add("graph", o.graph, "replay a captured step (a GPU's); with --no-graph every kernel is launched anew");
  t.group("Timing");
  t.add("seconds", o.seconds, "that each batch is timed for, at least three steps");
  t.add("warm_up", o.warm_up, "steps before, which do not count");
  t.add("profile", o.profile, "kernels of a step by time: kernel, or shape").one_of({"", "kernel", "shape"});
  t.add("json", o.json, "a file for the results").shown_as("FILE");
  t.group("For side_by_side.py");
  t.add("describe", o.describe, "the model's sizes as a line of JSON, and no more");
  t.add("serve", o.serve, "times as many steps as each line of the input says (run 10): a line of JSON for each");
  apps::add_model_options(t, o.step.config);
  apps::add_execution_options(t, o.step.execution);
  apps::add_device_options(t, o.device);
  t.pass_over(apps::pretrain_keys());
}

void check(const StepCommand& o) {
  for (const int batch : o.batches) {
    if (batch < 1) throw apps::UsageError("a batch has one image at least", "--batch");
  }
  if (o.batches.empty() || (o.serve && o.batches.size() > 1))
    throw apps::UsageError("one batch is wanted", "--batch", "--batch 8");
  if (!(o.seconds > 0 && o.seconds <= 86400)) throw apps::UsageError("more than 0, and at most a day", "--seconds");
  if (o.warm_up < 0 || o.warm_up > 10000) throw apps::UsageError("0 to 10,000 steps", "--warm-up");
  apps::check_output_file("--json", o.json);
}

/// The preset's name, with the sizes of a model that is another one.
std::string name_of(const mae::Config& c) {
  if (mae::to_text(c) == mae::to_text(mae::preset(c.preset))) return c.preset;
  return fmt::format("{}x{}x{} patch {}, {} x {}, decoder {} x {}", c.image_height, c.image_width, c.channels, c.patch,
                     c.depth, c.dim, c.decoder_depth, c.decoder_dim);
}

Json description(const mae::Config& c, std::int64_t parameters) {
  return Json::object({{"model", name_of(c)},
                       {"image_height", c.image_height},
                       {"image_width", c.image_width},
                       {"channels", c.channels},
                       {"patch", c.patch},
                       {"dim", c.dim},
                       {"depth", c.depth},
                       {"heads", c.heads},
                       {"mlp_ratio", c.mlp_ratio},
                       {"decoder_dim", c.decoder_dim},
                       {"decoder_depth", c.decoder_depth},
                       {"decoder_heads", c.decoder_heads},
                       {"mask_ratio", c.mask_ratio},
                       {"keep", c.keep()},
                       {"norm_pix", c.norm_pix},
                       {"ln_eps", c.ln_eps},
                       {"qkv_bias", c.qkv_bias},
                       {"parameters", parameters},
                       {"flops", mae::official_training_flops(c)}});
}

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

void say(const Json& json) {
  std::puts(engine::to_text(json).c_str());
  std::fflush(stdout);
}

/// The protocol of bench/side_by_side.py.
int serve(Training& training, kernels::Stream& stream, const StepCommand& o) {
  training.run(o.warm_up);
  const bool gpu = stream.device().kind == DeviceKind::cuda;
  Json ready = origin_of(stream.device());
  ready.add("ready", true).add("contender", "mae.cu").add("threads", kernels::cpu::threads());
  say(ready.add("parameters", training.parameters()).add("loss", training.loss()));
  for (std::string line; std::getline(std::cin, line);) {
    int count = 0;
    if (std::sscanf(line.c_str(), "run %d", &count) != 1 || count < 1)
      throw kernels::Error("\"" + line + "\" is not a number of steps: run 10", "standard input");
    say(Json::object({{"seconds", training.run(count)}}));
  }
  say(Json::object({{"peak_bytes", gpu ? training.peak_bytes() : peak_resident_bytes()}}));
  return 0;
}

struct StepTimes {
  std::int64_t batch = 0;
  Times times;  // us: of a step
  double images_per_second = 0, flops_per_second = 0, peak_bytes = 0, launches = 0, loss = 0;
  std::int64_t parameters = 0;
};

Times times_of(Training& training, double seconds) {
  Times times;
  const double first = training.run(1)[0];
  const int count = std::max(3, static_cast<int>(seconds / first));
  for (const double s : training.run(count)) times.us.push_back(s * 1e6);
  times.launches = 1;
  times.median = quantile(times.us, 0.5), times.p10 = quantile(times.us, 0.1), times.p90 = quantile(times.us, 0.9);
  return times;
}

void print_profile(Training& training, kernels::Stream& stream, const StepCommand& o, const Ceilings& ceilings) {
  constexpr std::size_t shown = 60;
  engine::Profile profile(stream, engine::Timing::yes);
  training.run(profile);
  const apps::GroupBy group = o.profile == "shape" ? apps::GroupBy::shape : apps::GroupBy::kernel;
  const apps::Rates rates{ceilings.products.at(o.step.compute).rate, ceilings.bandwidth.rate};
  fmt::print("\n{}\n", kernel_table(kernel_times(profile.ops(), profile.spans(), group, rates), 1, shown));
}

StepTimes measure_batch(kernels::Stream& stream, const StepCommand& o, std::int64_t batch, const Ceilings& ceilings) {
  StepOptions step = o.step;
  step.batch = batch;
  Training training(stream, step);
  training.run(o.warm_up);
  StepTimes result{.batch = batch, .times = times_of(training, o.seconds)};
  const double seconds = result.times.median * 1e-6;
  result.images_per_second = static_cast<double>(batch) / seconds;
  result.flops_per_second = result.images_per_second * mae::official_training_flops(step.config);
  result.peak_bytes = training.peak_bytes();
  result.loss = training.loss();
  result.parameters = training.parameters();
  kernels::Stream dry(stream.device(), kernels::StreamMode::dry);
  result.launches = apps::plan_step(dry, {.config = step.config,
                                          .execution = step.execution,
                                          .batch = batch,
                                          .micro_batch = step.micro_batch > 0 ? step.micro_batch : batch,
                                          .compute = step.compute})
                        .launches;
  if (!o.profile.empty()) print_profile(training, stream, o, ceilings);
  return result;
}

std::vector<std::string> table_row(const StepTimes& r, double ceiling) {
  const auto ms = [](double us) { return apps::thousands(us * 1e-3, 2); };
  return {apps::thousands(r.batch),
          ms(r.times.median),
          ms(r.times.p10) + " - " + ms(r.times.p90),
          apps::thousands(r.images_per_second, 1),
          ms(r.times.median / static_cast<double>(r.batch)),
          apps::thousands(r.flops_per_second * 1e-9, 1),
          fmt::format("{:.1f}", 100 * r.flops_per_second / ceiling),
          apps::bytes_text(r.peak_bytes),
          apps::thousands(static_cast<std::int64_t>(r.launches))};
}

Json to_json(const StepTimes& r) {
  return Json::object({{"batch", r.batch},
                       {"median_us", r.times.median},
                       {"p10_us", r.times.p10},
                       {"p90_us", r.times.p90},
                       {"samples", r.times.us.size()},
                       {"images_per_s", r.images_per_second},
                       {"model_gflop_per_s", r.flops_per_second * 1e-9},
                       {"peak_bytes", r.peak_bytes},
                       {"launches", r.launches},
                       {"loss", r.loss}});
}

int measure(kernels::Stream& stream, const StepCommand& o) {
  const Ceilings ceilings = measure_ceilings(stream.device(), all_kernels(), {o.step.compute});
  const bool gpu = stream.device().kind == DeviceKind::cuda;
  fmt::print("{}, {} on {}, {} threads; product {:.1f} GFLOP/s, {} {:.1f}\n", name_of(o.step.config), o.dtype,
             origin_of(stream.device()).at("name").text, kernels::cpu::threads(),
             ceilings.products.at(o.step.compute).rate * 1e-9, gpu ? "peak" : "multiply-adds in registers",
             ceilings.peak(o.step.compute) * 1e-9);
  std::vector<std::vector<std::string>> rows{{"batch", "ms a step", "p10 - p90", "images/s", "ms an image",
                                              "model GFLOP/s", "% of peak", "memory", "launches"}};
  Json results = Json::array();
  std::int64_t parameters = 0;
  for (const int batch : o.batches) {
    const StepTimes times = measure_batch(stream, o, batch, ceilings);
    parameters = times.parameters;
    rows.push_back(table_row(times, ceilings.peak(o.step.compute)));
    results.add({}, to_json(times));
  }
  fmt::print("{}", apps::aligned(rows, "rrrrrrrrr"));
  if (o.json.empty()) return 0;
  Json json = origin_of(stream.device());
  json.add("threads", kernels::cpu::threads()).add("dtype", o.dtype).add("graph", o.graph);
  json.add("micro_batch", o.step.micro_batch).add("execution", apps::execution_json(o.step.execution));
  json.add("rows", o.device.rows);
  json.add("ceilings", to_json(ceilings)).add("model", description(o.step.config, parameters)).add("results", results);
  apps::write_json(o.json, json);
  return 0;
}

}  // namespace

int run_step(int argc, char** argv) {
  StepCommand o;
  apps::OptionTable options("bench step", "whole training steps of a model, timed one by one",
                            "mae bench step --model mae_vit_tiny_patch16 --batch 8,16,32");
  add_options(options, o);
  if (!options.parse(argc, argv)) return 0;
  check(o);
  o.step.compute = apps::compute_type(o.dtype);
  o.step.replay = o.graph ? engine::Replay::yes : engine::Replay::no;
  o.step.batch = o.batches.front();
  if (o.describe)
    return say(description(o.step.config, mae::Model(o.step.config, o.step.compute).parameters().count())), 0;
  const Device device = apps::open_device(o.device);
  kernels::Stream stream(device);
  apps::force_rows(stream, o.device);
  if (!o.serve) return measure(stream, o);
  Training training(stream, o.step);
  return serve(training, stream, o);
}

}  // namespace bench
