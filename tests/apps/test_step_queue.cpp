#include "apps/step_queue.h"

#include <algorithm>

#include "tests/support/tiny_training.h"

using namespace test;

namespace {

struct Losses {
  std::vector<double> all;
  std::vector<bool> finite;
  std::int64_t done = 0;
};

/// Eight steps; before step `pause`, nothing may be queued. Image `bad` of the data set, if any, is infinite.
Losses train(apps::LookAhead look_ahead, engine::Replay replay, std::int64_t pause, std::int64_t bad) {
  mae::Config config = tiny_config();
  config.value_range = {1};
  mae::Dataset data = made_up_data(96, config, DType::f32);
  const auto image = data.image;
  data.image = [image, bad, config](std::int64_t i) {
    mae::Image read = image(i);
    if (i == bad) std::fill_n(read.as<float>(), config.image_height * config.image_width, INFINITY);
    return read;
  };
  mae::Recipe recipe = tiny_recipe(32, 4);
  recipe.micro_batch = 16;
  kernels::Stream stream(kernels::devices().front());
  mae::Loader loader(data, loader_options(config, recipe));
  mae::Pretraining pretraining(stream, config,
                               {.recipe = recipe,
                                .compute = DType::f32,
                                .pixels = data.dtype,
                                .steps_per_epoch = loader.steps_per_epoch(),
                                .replay = replay});
  apps::StepQueue queue(loader, pretraining.training(), look_ahead);
  Losses losses;
  for (std::int64_t step = 0; step < 8; ++step) {
    queue.prepare(step);
    const apps::FinishedStep finished = queue.run(step, [&] { return step + 1 < 8 && step + 1 != pause; });
    if (step + 1 == pause) CHECK(!queue.ahead());
    if (!finished.result.finite) {
      CHECK_THAT(pretraining.training().first_not_finite(finished.batch), ContainsSubstring("linear in encoder"));
      pretraining.training().skip();
    }
    losses.finite.push_back(finished.result.finite);
    if (finished.result.finite) losses.all.push_back(finished.result.loss);
  }
  losses.done = pretraining.training().done();
  return losses;
}

}  // namespace

TEST_CASE("a step queued ahead, and a replayed one, change no bit") {
  const Losses one_by_one = train(apps::LookAhead::no, engine::Replay::no, -1, -1);
  REQUIRE(one_by_one.all.size() == 8);
  for (const std::int64_t pause : {-1, 3}) {
    for (const auto replay : {engine::Replay::no, engine::Replay::yes}) {
      const Losses ahead = train(apps::LookAhead::yes, replay, pause, -1);
      CHECK(ahead.all == one_by_one.all);
      CHECK(ahead.done == 8);
    }
  }
}

TEST_CASE("behind a step that is not finite, what was queued is made anew") {
  const Losses one_by_one = train(apps::LookAhead::no, engine::Replay::no, -1, 40),
               ahead = train(apps::LookAhead::yes, engine::Replay::yes, -1, 40);
  CHECK(one_by_one.all.size() < 8);
  CHECK(one_by_one.finite == ahead.finite);
  CHECK(one_by_one.all == ahead.all);
  CHECK(ahead.done == 8);
}

TEST_CASE("images that cannot be had are said when their step comes, with nothing under way") {
  const mae::Config config = tiny_config();
  mae::Dataset data = made_up_data(96, config, DType::u8);
  data.image = [image = data.image, count = std::make_shared<std::int64_t>(0)](std::int64_t i) {
    if (++*count > 40) throw kernels::Error("gone", "image " + std::to_string(i));
    return image(i);
  };
  const mae::Recipe recipe = tiny_recipe(32, 4);
  mae::LoaderOptions options = loader_options(config, recipe);
  options.workers = 0;
  mae::Loader loader(data, options);
  kernels::Stream stream(kernels::devices().front());
  mae::Pretraining pretraining(
      stream, config,
      {.recipe = recipe, .compute = DType::f32, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
  apps::StepQueue queue(loader, pretraining.training(), apps::LookAhead::yes);
  queue.prepare(0);
  CHECK(queue.run(0, [] { return true; }).result.finite);
  CHECK_THROWS_WITH(queue.prepare(1), ContainsSubstring("gone"));
  CHECK(!queue.ahead());
  CHECK(pretraining.training().done() == 1);
}
