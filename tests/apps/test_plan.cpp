#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/step_plan.h"
#include "tests/support/catch.h"

using apps::plan_step;
using apps::StepPlan;
using kernels::DType;

namespace {

StepPlan planned(const mae::Config& config, std::int64_t batch, std::int64_t micro_batch, DType type = DType::f32) {
  kernels::Stream stream(kernels::devices().front(), kernels::StreamMode::dry);
  return plan_step(stream, {.config = config, .batch = batch, .micro_batch = micro_batch, .compute = type});
}

#ifdef NDEBUG
constexpr double seconds = 1;
#else
constexpr double seconds = 20;  // unoptimised, under sanitizers
#endif

struct Expected {
  const char* model;
  std::int64_t parameters, trainable;
  double official, executed;  // GFLOP; executed: the exact minimum
};

}  // namespace

// notes/performance.md 3a
TEST_CASE("parameters and FLOPs of the models of the paper") {
  const Expected models[] = {
      {"mae_vit_base_patch16", 111'907'840, 111'655'680, 58.46, 56.45},
      {"mae_vit_large_patch16", 329'541'888, 329'239'296, 124.23, 122.11},
      {"mae_vit_huge_patch14", 657'074'508, 656'613'964, 290.99, 288.26},
  };
  for (const Expected& expected : models) {
    INFO(expected.model);
    const auto start = std::chrono::steady_clock::now();
    const StepPlan plan = planned(mae::preset(expected.model), 4096, 64, DType::bf16);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(plan.parameters == expected.parameters);
    CHECK(plan.trainable == expected.trainable);
    CHECK(plan.official * 1e-9 == Approx(expected.official).epsilon(1e-3));
    CHECK(plan.products * 1e-9 == Approx(expected.executed).epsilon(1e-3));  // once a batch of 64: the mask tokens
    CHECK(plan.all > plan.products);
    CHECK(plan.all < plan.products * 1.01);
    CHECK(took.count() < seconds);
  }
}

TEST_CASE("plan reads the config of a run, whose other keys are not its own") {
  std::vector<std::string> words{"mae", "plan", "--config", MAE_SOURCE_DIR "/apps/configs/fashion_mnist.toml"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  CHECK(apps::run(static_cast<int>(argv.size()), argv.data()) == apps::done);
}

TEST_CASE("every config of apps/configs is a model, of the published size where there is one") {
  std::map<std::string, std::int64_t> published{{"vit_base.toml", 111'907'840},
                                                {"vit_large.toml", 329'541'888},
                                                {"vit_huge.toml", 657'074'508},
                                                {"cifar10.toml", 7'212'684}};
  for (const auto& file : std::filesystem::directory_iterator(MAE_SOURCE_DIR "/apps/configs")) {
    if (!file.is_regular_file()) continue;  // recipes of fine-tuning: test_finetune.cpp
    INFO(file.path());
    mae::Config config;
    std::int64_t batch = 0, micro_batch = 0;
    apps::OptionTable options("test", "", "");
    apps::add_model_options(options, config);
    options.add("batch", batch, "");
    options.add("micro_batch", micro_batch, "");
    options.pass_over(apps::pretrain_keys());
    const std::string path = file.path().string();
    const char* words[] = {"test", "--config", path.c_str()};
    REQUIRE(options.parse(3, words));
    const StepPlan plan = planned(config, batch, micro_batch > 0 ? micro_batch : batch, DType::bf16);
    const auto expected = published.extract(file.path().filename().string());
    if (expected) CHECK(plan.parameters == expected.mapped());
    CHECK(plan.memory.total() < 70e9);  // of one GPU with 80 GB
  }
  CHECK(published.empty());
}

TEST_CASE("memory by kind follows precision and micro-batch") {
  const mae::Config config = mae::preset("mae_vit_base_patch16");
  const StepPlan f32 = planned(config, 64, 64), bf16 = planned(config, 64, 64, DType::bf16),
                 half = planned(config, 64, 32);
  const double values = f32.memory.gradients / 4;
  CHECK(values >= 111'907'840);
  CHECK(values < 111'907'840 * 1.001);  // segments are padded
  CHECK(f32.memory.parameters == 4 * values);
  CHECK(f32.memory.moments == 8 * values);
  CHECK(bf16.memory.parameters == 6 * values);
  CHECK(bf16.memory.gradients == 4 * values);
  CHECK(f32.memory.inputs == 2 * 64 * (224 * 224 * 3 + 8) + 2 * 3 * 4);  // two slots
  CHECK(bf16.memory.activations < 0.6 * f32.memory.activations);
  CHECK(half.memory.activations == Approx(f32.memory.activations / 2).epsilon(0.01));
  // each micro-batch projects the decoder's mask tokens once, forward and twice backward, for all of its images
  CHECK(half.products - f32.products == Approx(3 * 2 * 196.0 * 512 * 1536 * (1.0 / 32 - 1.0 / 64)).epsilon(1e-9));
  CHECK(f32.memory.total() > f32.memory.activations + f32.memory.moments + f32.memory.parameters);
}

TEST_CASE("the recorded step is forward, backward, update, and reads each parameter once") {
  mae::Config config = mae::preset("mae_vit_tiny_patch16");
  config.depth = 2;
  config.decoder_depth = 1;
  const StepPlan plan = planned(config, 8, 8);
  double read = 0, kept = 0;
  int phase = 0;  // 0 forward, 1 backward, 2 update
  for (const engine::OpEntry& op : plan.ops) {
    INFO(op.range << " " << op.op);
    const int now = op.range == "update" ? 2 : op.backward || op.range == "backward" ? 1 : 0;
    CHECK(now >= phase);
    phase = now;
    if (!(op.backward && op.op == "pixel_loss")) CHECK(!op.launches.empty());  // it hands on what forward has made
    read += op.parameters;
    kept += op.kept_bytes;
    for (const kernels::LaunchRecord& launch : op.launches) CHECK(launch.cost.bytes > 0);
  }
  CHECK(phase == 2);
  CHECK(read == static_cast<double>(plan.trainable));
  CHECK(kept > 0);
  CHECK(kept <= plan.memory.activations);
}

TEST_CASE("a micro-batch that does not divide the batch is refused") {
  CHECK_THROWS_WITH(planned(mae::Config{}, 10, 4), ContainsSubstring("--micro-batch"));
  CHECK_THROWS_WITH(planned(mae::Config{}, 0, 1), ContainsSubstring("--batch"));
  mae::Config config;
  config.heads = 7;
  CHECK_THROWS_WITH(planned(config, 8, 8), ContainsSubstring("heads"));
}

TEST_CASE("too little memory is said before anything is allocated, with the micro-batch that fits") {
  kernels::Stream stream(kernels::devices().front(), kernels::StreamMode::dry);
  apps::StepPlanOptions options{.config = mae::preset("mae_vit_tiny_patch16"), .batch = 96, .micro_batch = 96};
  const auto total = [&](std::int64_t micro_batch) {
    options.micro_batch = micro_batch;
    return plan_step(stream, options).memory.total();
  };
  for (const std::int64_t fits : {1, 4, 32, 96}) CHECK(apps::largest_micro_batch(stream, options, total(fits)) == fits);
  CHECK(apps::largest_micro_batch(stream, options, total(32) - 1) == 24);
  CHECK(apps::largest_micro_batch(stream, options, total(1) - 1) == 0);
  const double bytes = total(12);
  options.micro_batch = 12;
  CHECK_NOTHROW(apps::require_memory(stream, options, plan_step(stream, options), bytes));
  options.micro_batch = 48;
  try {
    apps::require_memory(stream, options, plan_step(stream, options), bytes);
    FAIL("nothing was refused");
  } catch (const kernels::Error& error) {
    CHECK_THAT(error.fact(), ContainsSubstring("a step needs") && ContainsSubstring("cpu has"));
    CHECK_THAT(error.where(), ContainsSubstring("--micro-batch 48"));
    CHECK_THAT(error.advice(), ContainsSubstring("--micro-batch 12, the largest that fits"));
  }
}
