#include "apps/run_estimate.h"

#include <limits>
#include <string>

#include "apps/version.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/mae_command.h"
#include "tests/support/step_results.h"

using apps::RunEstimate;
using apps::StepPlan;
using apps::StepResults;
using engine::Json;

namespace {

RunEstimate estimated(const apps::Work& work, const StepResults& results, std::int64_t data_size, double epochs) {
  kernels::Stream stream(work.device, kernels::StreamMode::dry);
  return estimate_run(stream, {.data_size = data_size, .epochs = epochs, .results = {}}, work,
                      plan_step(stream, work.step), results);
}

StepResults measured(const TestFolder& folder, Json run) {
  test::write_json(folder.file("step.json"), run);
  return apps::read_step_results(folder.path());
}

engine::OpEntry op(const char* range, double flops, double bytes) {
  engine::OpEntry entry;
  entry.range = range;
  entry.launches.push_back({.kernel = "k", .row = "r", .cost = {flops, bytes}, .workspace = 0, .fields = {}});
  return entry;
}

test::Words plan_words(const TestFolder& results, const test::Words& more) {
  return test::joined({"plan", "--device", "h100-80", "--model", "mae_vit_base_patch16", "--dtype", "bf16", "--batch",
                       "4096", "--micro-batch", "256", "--results", results.path()},
                      more);
}

/// ViT-B at batch 64, and what an H100 can do.
Json vit_base() {
  Json run = to_json(
      test::StepRun{.date = "2026-02-03T04:05:06Z", .model = test::described(mae::Config{}), .images_per_s = 5000});
  return run.add("ceilings", test::rates(3000, 600000));
}

}  // namespace

TEST_CASE("the floor of a step by hand") {
  StepPlan plan;
  plan.ops = {op("", 8e12, 1e9), op("backward", 1e12, 8e12), op("update", 1e3, 6e12)};
  // 8 by its FLOPs and 4 by its bytes in each of 5 micro-batches, 3 in the update
  CHECK(apps::floor_seconds(plan, 5, {1e12, 2e12}) == Approx(5 * (8 + 4) + 3));
  plan.ops[0].launches.push_back(plan.ops[0].launches[0]);
  CHECK(apps::floor_seconds(plan, 5, {1e12, 2e12}) == Approx(5 * (16 + 4) + 3));
}

TEST_CASE("where one of the two costs nothing, the floor is the plan's sum of the other") {
  const apps::Work work = test::measured_work(4);
  kernels::Stream stream(work.device, kernels::StreamMode::dry);
  const StepPlan plan = plan_step(stream, work.step);
  constexpr double free = std::numeric_limits<double>::infinity();
  const double batch = 16, flops = plan.all * batch;
  CHECK(apps::floor_seconds(plan, 4, {free, 1e9}) == Approx(plan.bytes / 1e9).epsilon(1e-12));
  CHECK(apps::floor_seconds(plan, 4, {1e9, free}) == Approx(flops / 1e9).epsilon(1e-12));
  const double both = apps::floor_seconds(plan, 4, {1e12, 1e11});
  CHECK(both > std::max(plan.bytes / 1e11, flops / 1e12));  // some launches are bound by one, some by the other
  CHECK(both < plan.bytes / 1e11 + flops / 1e12);
}

TEST_CASE("a run has the steps that the loader counts, and the hours that they take") {
  const TestFolder folder;
  const StepResults results =
      measured(folder, to_json(test::StepRun{.batch = 4, .images_per_s = 100}).add("ceilings", test::rates(1, 1)));
  const apps::Work work = test::measured_work(4);  // a batch of 16
  const RunEstimate e = estimated(work, results, 1000, 900);
  CHECK(e.steps == 900 * 62);  // 8 images are left over in each epoch
  CHECK(e.images == e.steps * 16);
  CHECK(e.hours == Approx(static_cast<double>(e.images) / 100 / 3600));
  kernels::Stream stream(work.device, kernels::StreamMode::dry);
  const double step = apps::floor_seconds(plan_step(stream, work.step), 4, {1e9, 1e9});
  CHECK(e.floor_hours == Approx(static_cast<double>(e.steps) * step / 3600));
  CHECK(estimated(work, results, 1000, 2.5).steps == 155);
  CHECK(estimated(work, results, 16, 1).steps == 1);
  const RunEstimate none = estimated(work, {}, 1000, 900);
  CHECK(!none.measured);
  CHECK(!none.rates);
  CHECK(none.steps == e.steps);
}

TEST_CASE("the largest batch fits, and one image more does not") {
  apps::Work work = test::measured_work(4);
  for (std::size_t megabytes = 1000; megabytes < 1100; megabytes += 9) {
    work.device.memory = megabytes * 1000000;
    const RunEstimate e = estimated(work, {}, 1000, 1);
    const double bytes = apps::memory_for_training(work.device);
    CHECK(bytes < static_cast<double>(work.device.memory));
    kernels::Stream stream(work.device, kernels::StreamMode::dry);
    const auto total = [&](std::int64_t images) {
      apps::StepPlanOptions o = work.step;
      o.batch = o.micro_batch = images;
      return plan_step(stream, o).memory.total();
    };
    CHECK(e.largest_batch > 16);
    CHECK(total(e.largest_batch) <= bytes);
    CHECK(total(e.largest_batch + 1) > bytes);
    CHECK(e.largest_micro_batch == 16);
  }
  work.device.memory = std::size_t{1} << 45;  // kernels count values in 31 bits
  CHECK(estimated(work, {}, 1 << 30, 1).largest_batch < 1 << 20);
  work.step.batch = 1 << 20;
  CHECK(estimated(work, {}, 1 << 30, 1).largest_micro_batch < 1 << 20);
  work.device.memory = std::size_t{257} << 20;
  CHECK(estimated(work, {}, 1000, 1).largest_batch == 0);
  CHECK_THAT(to_text(estimated(work, {}, 1000, 1), "here"), ContainsSubstring("fits  none"));
}

TEST_CASE("plan prints a run, with where its figures come from") {
  const TestFolder folder;
  test::write_json(folder.file("h100.json"), vit_base());
  const test::Answer text = test::mae_answer(plan_words(folder, {"--data-size", "1281167", "--epochs", "1600"}));
  REQUIRE(text.code == apps::done);
  for (const char* part :
       {"1600 epochs", "499,200", "113.6 h (4.7 days)", "GPU-hours", "of a batch of 4,096: 1,024",
        "5,000 images/s, measured at batch 64, not at 256, 2026-02-03 at 0123456, NVIDIA H100 80GB HBM3 (h100.json)",
        "each launch at 600,000.0 GFLOP/s or 3,000.0 GB/s"})
    CHECK_THAT(text.output, ContainsSubstring(part));

  const test::Answer line = test::mae_answer(plan_words(folder, {"--data-size", "1281167", "--json"}));
  const Json run = engine::parse_json(line.output, "the answer").at("run");
  CHECK(run.at("epochs").as_double() == 800);  // of the recipe
  CHECK(run.at("steps").as_int() == 800 * 312);
  CHECK(run.at("images").as_int() == 800 * 312 * 4096);
  CHECK(run.at("hours").as_double() == Approx(800.0 * 312 * 4096 / 5000 / 3600));
  CHECK(run.at("device_hours").as_double() == run.at("hours").as_double());
  CHECK(run.at("floor_hours").as_double() > 0.1 * run.at("hours").as_double());
  CHECK(run.at("largest_batch").as_int() > run.at("largest_micro_batch").as_int());
  CHECK(run.at("measured").at("batch").as_int() == 64);
  CHECK(run.at("measured").at("file").as_string() == "h100.json");
  CHECK(run.at("ceilings").at("copy_gb_per_s").as_double() == Approx(3000));
}

TEST_CASE("what was not measured is said") {
  const TestFolder folder;
  test::write_json(folder.file("h100.json"), vit_base());
  const test::Words large{"--data-size", "1281167", "--model", "mae_vit_large_patch16"};
  const test::Answer floor = test::mae_answer(plan_words(folder, large));
  CHECK_THAT(floor.output, ContainsSubstring("not measured, floor ") && ContainsSubstring(" h (") &&
                               ContainsSubstring("(h100.json)"));
  CHECK_THAT(floor.output, !ContainsSubstring("images/s"));
  const test::Words a100{"--data-size", "1281167", "--device", "a100-80"};
  CHECK_THAT(test::mae_answer(plan_words(folder, a100)).output,
             ContainsSubstring("not measured, and no ceiling of this device was either: no floor"));
  const test::Answer line = test::mae_answer(plan_words(folder, test::joined(a100, {"--json"})));
  const Json run = engine::parse_json(line.output, "the answer").at("run");
  for (const char* key : {"hours", "device_hours", "floor_hours", "measured", "ceilings"}) {
    INFO(key);
    CHECK(run.at(key).kind == Json::Kind::null);
  }
  CHECK(run.at("steps").as_int() == 800 * 312);
}

TEST_CASE("a run is asked for by the size of its data") {
  const TestFolder folder;
  const auto error = [&](const test::Words& more, int code) {
    const test::Answer answer = test::mae_answer(test::joined({"plan", "--batch", "64"}, more));
    CHECK(answer.code == code);
    return answer.error;
  };
  CHECK_THAT(error({"--epochs", "100"}, apps::bad_usage),
             ContainsSubstring("--epochs") && ContainsSubstring("--data-size"));
  CHECK_THAT(error({"--results", folder.path()}, apps::bad_usage), ContainsSubstring("--data-size"));
  const std::string json = folder.file("plan.json");
  const test::Answer cifar = test::mae_answer(
      {"plan", "--config", MAE_SOURCE_DIR "/apps/configs/cifar10.toml", "--data-size", "50000", "--json"});
  const engine::Json run = engine::parse_json(cifar.output, "plan").at("run");
  CHECK(run.at("steps").as_int() == 24'500);  // batches of 8 parts, 98 parts an epoch
  CHECK(run.at("images").as_int() == 100'000'000);
  CHECK_THAT(error({"--data-size", "63"}, apps::bad_input), ContainsSubstring("--data-size"));
  CHECK_THAT(error({"--data-size", "-64"}, apps::bad_input), ContainsSubstring("--data-size"));
  CHECK_THAT(error({"--data-size", "64", "--epochs", "0.5"}, apps::bad_input), ContainsSubstring("--epochs"));
  CHECK_THAT(error({"--data-size", "64", "--epochs", "0"}, apps::bad_input), ContainsSubstring("--epochs"));
  CHECK_THAT(error({"--data-size", "64", "--results", folder.file("no")}, apps::bad_input),
             ContainsSubstring(folder.file("no")));
  CHECK(error({"--data-size", "64", "--results", folder.path(), "--epochs", "1"}, apps::done).empty());
  test::write_text(folder.file("torn.json"), "{");
  CHECK_THAT(error({"--data-size", "64", "--results", folder.path()}, apps::bad_input), ContainsSubstring("torn.json"));
  const test::Words config{"--config", MAE_SOURCE_DIR "/apps/configs/fashion_mnist.toml"};
  CHECK(error(config, apps::done).empty());  // its epochs alone ask for nothing
  const test::Answer answer = test::mae_answer(test::joined({"plan", "--data-size", "60000", "--json"}, config));
  CHECK(engine::parse_json(answer.output, "the answer").at("run").at("steps").as_int() == 7 * (60000 / 128));
}

TEST_CASE("the measurements of the sources have the models of the paper on an H100") {
  const StepResults results = apps::read_step_results(std::string(apps::results_folder) + "/step_h100_2026-11-27.json");
  for (const char* model : {"mae_vit_base_patch16", "mae_vit_large_patch16", "mae_vit_huge_patch14"}) {
    INFO(model);
    apps::Work work = test::measured_work(64);
    work.step.config = mae::preset(model);
    work.parameters = test::parameters_of(work.step.config);
    const RunEstimate e = estimated(work, results, 1281167, 800);
    REQUIRE(e.measured);
    CHECK(e.measured->micro_batch == 64);
    CHECK(e.floor_hours < e.hours);
    CHECK(e.floor_hours > 0.3 * e.hours);
  }
}
