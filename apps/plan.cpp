#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/device_options.h"
#include "apps/kernel_times.h"
#include "apps/model_options.h"
#include "apps/run_estimate.h"
#include "apps/step_plan.h"
#include "apps/table.h"
#include "engine/json.h"
#include "kernels/cpu/parallel.h"
#include "mae/pretraining.h"

namespace apps {
namespace {

using engine::Json;
using engine::OpEntry;

std::vector<std::pair<const char*, double>> memory_rows(const engine::MemoryPlan& m) {
  return {
      {"parameters", m.parameters}, {"gradients", m.gradients}, {"moments", m.moments}, {"activations", m.activations},
      {"scratch", m.scratch},       {"inputs", m.inputs},       {"total", m.total()}};
}

std::string shapes_text(const kernels::LaunchRecord& record) {
  std::string text;
  for (const kernels::Field& field : record.fields)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.name, to_string(field.view.shape));
  return text;
}

void print_ops(const std::vector<OpEntry>& ops) {
  std::vector<std::vector<std::string>> rows{
      {"pass", "where", "op", "kernel=row", "parameters", "MFLOP", "MB moved", "kept bytes", "shapes"}};
  for (const OpEntry& op : ops) {
    bool first = true;
    for (const kernels::LaunchRecord& record : op.launches) {
      const auto once = [&](double value) { return first && value > 0 ? thousands(value, 0) : std::string(); };
      rows.push_back({first ? phase_of(op) : "", first ? op.range : "", first ? op.op : "",
                      fmt::format("{}={}", record.kernel, record.row), once(op.parameters),
                      thousands(record.cost.flops * 1e-6, 2), thousands(record.cost.bytes * 1e-6, 2),
                      once(op.kept_bytes), shapes_text(record)});
      first = false;
    }
  }
  fmt::print("\none micro-batch, then the update, in order\n{}", aligned(rows, "llllrrrrl"));
}

void print_text(const StepPlan& plan, const StepPlanOptions& o, const kernels::Device& device) {
  const mae::Config& c = o.config;
  fmt::print("{}: image {} x {} x {}, patch {}, {} of {} patches visible, {} on {}\n", c.preset, c.image_height,
             c.image_width, c.channels, c.patch, c.keep(), c.patches(), name_of(o.compute), device.name);
  fmt::print("batch {} = {} x micro-batch {}\n\n", thousands(o.batch), o.batch / o.micro_batch,
             thousands(o.micro_batch));
  fmt::print(
      "{}\n",
      aligned({{"parameters", ""}, {"total", thousands(plan.parameters)}, {"trainable", thousands(plan.trainable)}},
              "lr"));
  const auto giga = [](double flops) { return thousands(flops * 1e-9, 2); };
  fmt::print("{}\n", aligned({{"training FLOPs per image", "G"},
                              {"official", giga(plan.official)},
                              {"executed, products and attention", giga(plan.products)},
                              {"executed, all kernels", giga(plan.all)}},
                             "lr"));
  StepPlanOptions plain_options = o;
  plain_options.execution = mae::plain_execution();
  kernels::Stream stream(device, kernels::StreamMode::dry);
  const StepPlan plain = plan_step(stream, plain_options);
  const auto step_row = [&](const char* name, const StepPlan& p) {
    return std::vector<std::string>{name, thousands(static_cast<std::int64_t>(p.launches)),
                                    thousands(p.bytes * 1e-6, 1),
                                    thousands(p.bytes * 1e-6 / static_cast<double>(o.batch), 2)};
  };
  fmt::print("{}\n", aligned({{"a step", "launches", "MB moved, at the least", "MB an image"},
                              step_row("as planned", plan),
                              step_row("with no work left out, no passes fused", plain)},
                             "lrrr"));
  std::vector<std::vector<std::string>> rows{{"peak memory", "bytes", ""}};
  for (const auto& [kind, bytes] : memory_rows(plan.memory))
    rows.push_back({kind, thousands(bytes, 0), bytes_text(bytes)});
  fmt::print("{}", aligned(rows, "lrr"));
  if (plan.memory.total() > memory_for_training(device))
    fmt::print("this is more than the {} of {}: try a smaller --micro-batch\n",
               bytes_text(static_cast<double>(device.memory)), device.name);
}

Json launches_json(const OpEntry& op) {
  Json launches = Json::array();
  for (const kernels::LaunchRecord& record : op.launches) {
    Json shapes = Json::object({});
    for (const kernels::Field& field : record.fields) shapes.add(field.name, to_string(field.view));
    launches.add({}, Json::object({{"kernel", record.kernel},
                                   {"row", record.row},
                                   {"flops", record.cost.flops},
                                   {"bytes", record.cost.bytes},
                                   {"workspace", record.workspace},
                                   {"views", shapes}}));
  }
  return launches;
}

Json plan_json(const StepPlan& plan, const StepPlanOptions& o, const kernels::Device& device, bool with_ops) {
  Json memory = Json::object({});
  for (const auto& [kind, bytes] : memory_rows(plan.memory)) memory.add(kind, static_cast<std::int64_t>(bytes));
  Json all = Json::object(
      {{"model", o.config.preset},
       {"device", device.name},
       {"dtype", name_of(o.compute)},
       {"batch", o.batch},
       {"micro_batch", o.micro_batch},
       {"parameters", plan.parameters},
       {"trainable", plan.trainable},
       {"flops_per_image",
        Json::object({{"official", plan.official}, {"executed_products", plan.products}, {"executed", plan.all}})},
       {"launches", static_cast<std::int64_t>(plan.launches)},
       {"bytes", plan.bytes},
       {"execution", execution_json(o.execution)},
       {"memory_bytes", memory}});
  if (with_ops) {
    Json ops = Json::array();
    for (const OpEntry& op : plan.ops) {
      ops.add({}, Json::object({{"pass", phase_of(op)},
                                {"range", op.range},
                                {"op", op.op},
                                {"parameters", op.parameters},
                                {"kept_bytes", op.kept_bytes},
                                {"launches", launches_json(op)}}));
    }
    all.add("ops", ops);
  }
  return all;
}

}  // namespace

int plan(int argc, char** argv) {
  StepPlanOptions o;
  DeviceOptions device_options;
  PlannedRun run;
  std::string dtype = "f32", init_file;  // the sizes of a run that begins with a file stand in its config, too
  std::int64_t micro_batch = 0;
  bool ops = false, json = false;
  OptionTable options("plan",
                      "parameters, FLOPs and peak memory of a training step, and the hours of a run: runs nothing",
                      "mae plan --model mae_vit_huge_patch14 --batch 4096 --micro-batch 64 --dtype bf16");
  options.group("Step");
  options.add("batch", o.batch, "images of one optimizer step, on all devices together");
  options.add("micro_batch", micro_batch,
              "images that a device holds at once; 0: the whole batch, or, with --data-size, as many as fit");
  options.add("dtype", dtype, "compute precision").one_of({"f64", "f32", "bf16"}).shown_as("NAME");
  add_run_options(options, run);
  options.group("Output");
  options.add("ops", ops, "the recorded step, op by op");
  options.add("json", json, "one line of JSON instead of tables");
  add_model_options(options, o.config, &init_file);
  add_execution_options(options, o.execution);
  add_device_options(options, device_options);
  options.pass_over(pretrain_keys());
  if (!options.parse(argc, argv)) return done;
  const mae::Recipe recipe{.batch = o.batch, .micro_batch = micro_batch, .drop_last = run.drop_last};
  mae::validate(recipe);
  run.part = recipe.part();
  const bool of_run = run_wanted(options, run, o.batch);
  o.micro_batch = micro_batch > 0 ? micro_batch : o.batch;
  o.compute = compute_type(dtype);
  const kernels::Device device = open_device(device_options);
  kernels::Stream stream(device, kernels::StreamMode::dry);
  force_rows(stream, device_options);
  if (of_run && micro_batch == 0)  // not asked for: what fits
    o.micro_batch = std::max<std::int64_t>(1, largest_micro_batch(stream, o, memory_for_training(device)));
  const StepPlan step = plan_step(stream, o);
  std::optional<RunEstimate> estimate;
  if (of_run) {
    const Work work{.step = o,
                    .parameters = step.parameters,
                    .device = device,
                    .processor = processor_name(),
                    .threads = kernels::cpu::threads(),
                    .rows = device_options.rows};
    estimate = estimate_run(stream, run, work, step, results_of(run));
  }
  if (json) {
    Json all = plan_json(step, o, device, ops);
    if (estimate) all.add("run", to_json(*estimate));
    std::puts(engine::to_text(all).c_str());
    return done;
  }
  print_text(step, o, device);
  if (estimate) fmt::print("\n{}", to_text(*estimate, run.results.empty() ? "bench/results" : run.results));
  if (ops) print_ops(step.ops);
  return done;
}

}  // namespace apps
