#include "bench/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/model_options.h"
#include "apps/model_sizes.h"
#include "apps/output_file.h"
#include "apps/progress.h"
#include "apps/table.h"
#include "bench/ceilings.h"
#include "bench/report.h"
#include "bench/step_serve.h"
#include "bench/step_times.h"
#include "kernels/cpu/parallel.h"

namespace bench {
namespace {

using engine::Json;

struct StepCommand {
  StepOptions step;
  StepTiming timing;
  apps::DeviceOptions device;
  apps::DataOptions data;
  std::vector<int> batches{8};
  std::vector<Input> inputs{Input::ready};
  std::vector<engine::Replay> launches{engine::Replay::yes};
  std::string dtype = "f32", json;
  bool augment = true, describe = false, serve = false;
  double open_seconds = 0;
};

/// An option that takes one or more of `all` by their names: "ready,loader".
template <class T>
apps::Option& add_names(apps::OptionTable& t, const std::string& key, std::vector<T>& chosen, std::vector<T> all,
                        const std::string& help) {
  const auto joined = [](const std::vector<T>& values) {
    std::string text;
    for (const T value : values) text += (text.empty() ? "" : ",") + std::string(name_of(value));
    return text;
  };
  const auto set = [&chosen, all, joined](const apps::Value& value) -> std::string {
    const std::string& text = std::get<std::string>(value);
    std::vector<T> named;
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find(',', at), text.size());
      const std::string name = text.substr(at, end - at);
      const auto found = std::find_if(all.begin(), all.end(), [&](T one) { return name == name_of(one); });
      if (found == all.end()) return "\"" + name + "\" is none of " + joined(all);
      named.push_back(*found);
      at = end + 1;
    }
    chosen = named;
    return {};
  };
  return t
      .add(
          key, help, [&chosen, joined] { return apps::Value(joined(chosen)); }, set)
      .shown_as("NAMES");
}

void add_options(apps::OptionTable& t, StepCommand& o) {
  t.group("Step");
  t.add("batch", o.batches, "images of a step; several are timed one after the other: 8,16,32");
  t.add("micro_batch", o.step.micro_batch, "images that the device holds at once; 0: the batch");
  t.add("dtype", o.dtype, "of the computation").one_of({"f32", "bf16", "f64"});
  add_names(t, "launch", o.launches, {engine::Replay::yes, engine::Replay::no},
            "graph: a captured step is replayed (a GPU's); eager: every kernel is launched anew; or both: graph,eager");
  t.group("Input");
  add_names(t, "input", o.inputs, {Input::ready, Input::loader, Input::resident},
            "of each step, one or more. ready: images in memory, copied to the device; loader: those of --data, read "
            "as in training; resident: images on the device");
  t.add("data", o.data.data, "for --input loader: as --data of mae pretrain").shown_as("PATH");
  t.add("workers", o.step.loader.workers, "threads of the loader");
  apps::add_augment_options(t, o.augment, o.step.loader.augmentation.range);
  apps::add_orientation_option(t, o.data.orientation);
  t.group("Timing");
  t.add("seconds", o.timing.seconds, "that each row is timed for, at least three steps");
  t.add("warm_up", o.timing.warm_up, "steps before, which do not count");
  t.add("profile", o.timing.profile, "kernels of a step by time: kernel, or shape").one_of({"", "kernel", "shape"});
  t.add("json", o.json, "a file for the results").shown_as("FILE");
  t.group("For side_by_side.py and flat.py");
  t.add("describe", o.describe, "the model's sizes as a line of JSON, and no more");
  t.add("serve", o.serve, "times as many steps as each line of the input says (run 10): a line of JSON for each");
  apps::add_model_options(t, o.step.config);
  apps::add_execution_options(t, o.step.execution);
  apps::add_device_options(t, o.device);
  t.pass_over(apps::pretrain_keys());
}

bool has_loader(const StepCommand& o) {
  return std::find(o.inputs.begin(), o.inputs.end(), Input::loader) != o.inputs.end();
}

void check(const StepCommand& o) {
  for (const int batch : o.batches) {
    if (batch < 1) throw apps::UsageError("a batch has one image at least", "--batch");
  }
  if (o.batches.empty() || (o.serve && o.batches.size() > 1))
    throw apps::UsageError("one batch is wanted", "--batch", "--batch 8");
  if (o.serve && o.inputs.size() * o.launches.size() > 1)
    throw apps::UsageError("it serves one input, launched in one way", "--serve");
  if (has_loader(o) && o.data.data.empty())
    throw apps::UsageError("the loader has nothing to read: --data is missing", "--input loader", "--data PATH");
  if (o.step.loader.workers < 0 || o.step.loader.workers > 1024)
    throw apps::UsageError("0 to 1,024 threads", "--workers");
  if (!(o.timing.seconds > 0 && o.timing.seconds <= 86400))
    throw apps::UsageError("more than 0, and at most a day", "--seconds");
  if (o.timing.warm_up < 0 || o.timing.warm_up > 10000) throw apps::UsageError("0 to 10,000 steps", "--warm-up");
  apps::check_output_file("--json", o.json);
}

void open_data(StepCommand& o) {
  const double before = apps::clock_seconds();
  if (!o.augment) o.step.loader.augmentation = mae::no_augmentation;
  o.step.data = apps::open_training_data(o.data, o.step.config);
  o.open_seconds = apps::clock_seconds() - before;
}

/// What a loader's rows were measured on.
Json data_json(const StepCommand& o) {
  return Json::object({{"path", o.step.data.path},
                       {"format", o.step.data.format},
                       {"images", o.step.data.size},
                       {"open_s", o.open_seconds},
                       {"workers", o.step.loader.workers},
                       {"augment", o.augment}});
}

/// Batches outermost: what is to be compared stands together.
std::vector<StepOptions> steps_of(const StepCommand& o) {
  std::vector<StepOptions> steps;
  for (const int batch : o.batches) {
    for (const Input input : o.inputs) {
      for (const engine::Replay launch : o.launches) {
        StepOptions step = o.step;
        step.batch = batch, step.input = input, step.replay = launch;
        steps.push_back(std::move(step));
      }
    }
  }
  return steps;
}

void write_results(const StepCommand& o, const Device& device, const Ceilings& ceilings, std::int64_t parameters,
                   const Json& results) {
  Json json = origin_of(device);
  json.add("threads", kernels::cpu::threads()).add("dtype", o.dtype);
  json.add("micro_batch", o.step.micro_batch).add("execution", apps::execution_json(o.step.execution));
  json.add("rows", o.device.rows);
  if (has_loader(o)) json.add("data", data_json(o));
  json.add("ceilings", to_json(ceilings))
      .add("model", apps::model_sizes(o.step.config, parameters))
      .add("results", results);
  apps::write_json(o.json, json);
}

void measure(kernels::Stream& stream, const StepCommand& o) {
  const Ceilings ceilings = measure_ceilings(stream.device(), all_kernels(), {o.step.compute});
  const bool gpu = stream.device().kind == DeviceKind::cuda, waited = has_loader(o);
  const double peak = ceilings.peak(o.step.compute);
  const apps::Rates rates{ceilings.products.at(o.step.compute).rate, ceilings.bandwidth.rate};
  fmt::print("{}, {} on {}, {} threads; product {:.1f} GFLOP/s, {} {:.1f}\n", apps::model_name(o.step.config), o.dtype,
             origin_of(stream.device()).at("name").text, kernels::cpu::threads(),
             ceilings.products.at(o.step.compute).rate * 1e-9, gpu ? "peak" : "multiply-adds in registers",
             peak * 1e-9);
  if (waited)
    fmt::print("loader: {} images, {}, {} worker{}, {}\n", apps::thousands(o.step.data.size), o.step.data.format,
               o.step.loader.workers, o.step.loader.workers == 1 ? "" : "s",
               o.augment ? "random resized crops" : "fitted");
  std::vector<std::vector<std::string>> rows{step_heading(waited)};
  Json results = Json::array();
  std::int64_t parameters = 0;
  for (const StepOptions& step : steps_of(o)) {
    const StepTimes times = measure_step(stream, step, o.timing, rates);
    parameters = times.parameters;
    rows.push_back(step_row(times, peak, waited));
    results.add({}, to_json(times));
  }
  fmt::print("{}", apps::aligned(rows, waited ? "llrrrrrrrrrr" : "llrrrrrrrrr"));
  if (!o.json.empty()) write_results(o, stream.device(), ceilings, parameters, results);
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
  if (o.describe)
    return say(apps::model_sizes(o.step.config, mae::Model(o.step.config, o.step.compute).parameters().count())), 0;
  const Device device = apps::open_device(o.device);
  kernels::Stream stream(device);
  apps::force_rows(stream, o.device);
  if (has_loader(o)) open_data(o);
  if (!o.serve) return measure(stream, o), 0;
  const StepOptions step = steps_of(o).front();
  Training training(stream, step);
  Json about = Json::object({{"input", name_of(step.input)}, {"launch", name_of(step.replay)}});
  if (has_loader(o)) about.add("data", data_json(o).add("first_batch_s", training.first_batch_seconds()));
  serve(training, stream, o.timing.warm_up, about);
  return 0;
}

}  // namespace bench
