#include "mae/pretraining.h"

#include <cmath>
#include <cstring>

#include "kernels/core/choices.h"
#include "mae/model_file.h"

#include "tests/support/folder.h"
#include "tests/support/thread_count.h"
#include "tests/support/tiny_training.h"

using namespace test;

TEST_CASE("each part of a batch has the same weight, whatever its size") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(18, config, DType::u8);
  mae::Recipe recipe = tiny_recipe(16, 4);
  recipe.micro_batch = 4;
  recipe.drop_last = false;
  recipe.schedule = engine::Pace::epoch;
  kernels::Stream stream(kernels::devices().front());
  mae::Loader loader(data, loader_options(config, recipe));
  mae::Pretraining pretraining(
      stream, config,
      {.recipe = recipe, .compute = DType::f64, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
  const engine::Parameters& p = pretraining.model().parameters();
  const double peak = 2.5e-3;  // epochs 0, 1, 2 and 3 of four, in which the steps end
  const std::vector<double> rates{peak, 0.85355339059327378 * peak, 0.5 * peak, 0.14644660940672624 * peak,
                                  0.14644660940672624 * peak};
  for (std::int64_t step = 0; step < 5; ++step) {  // the short part is another one every time
    const mae::Batch batch = loader.get(step);
    double mean = 0;
    std::vector<double> gradient(static_cast<std::size_t>(p.flat_size()));
    std::size_t at = 0;
    const std::size_t pixels = batch.pixels.size() / batch.labels.size();
    for (const std::int64_t part : batch.parts) {
      const std::size_t end = at + static_cast<std::size_t>(part);
      mae::Batch alone;
      alone.pixels.assign(&batch.pixels[pixels * at], batch.pixels.data() + pixels * end);
      alone.draws.assign(&batch.draws[2 * at], batch.draws.data() + 2 * end);
      mean += pretraining.evaluate(alone) / 4;
      pretraining.training().accumulate(alone, true);  // a share of 16 samples
      const std::vector<double> share = Session::values(p.gradient());
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += 16.0 / static_cast<double>(4 * part) * share[i];
      at = end;
    }
    pretraining.training().accumulate(batch, true);
    INFO("step " << step);
    CHECK(distance(Session::values(p.gradient()), gradient) <= 1e-12);
    const StepResult result = pretraining.training().step(batch);
    CHECK(std::abs(result.loss - mean) <= 1e-13);
    CHECK(std::abs(result.lr - rates[static_cast<std::size_t>(step)]) <= 1e-15);
  }
}

TEST_CASE("two runs give the same bits, on any number of threads") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  const auto run = [&] { return train_model(config, tiny_recipe(32, 4), data, 10); };
  const TrainedModel first = run();
  for (const int threads : {1, 2, 3}) {
    const TrainedModel again = test::with_threads(threads, run);
    CHECK(again.losses == first.losses);
    CHECK((again.weights == first.weights));
  }
}

TEST_CASE("a validation loss is the mean over its images, however they are cut") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  kernels::Stream stream(kernels::devices().front());
  mae::Batch all;
  for (std::int64_t i = 0; i < 20; ++i) mae::append(all, data.image(i), 16, 16, static_cast<std::uint32_t>(i));
  const auto loss_of = [&](std::int64_t micro_batch, const mae::Batch& batch) {
    mae::Recipe recipe = tiny_recipe(48, 4);
    recipe.micro_batch = micro_batch;
    return mae::Pretraining(stream, config,
                            {.recipe = recipe,
                             .compute = DType::f64,
                             .pixels = DType::u8,
                             .steps_per_epoch = 2,
                             .evaluated = batch.size()})
        .evaluate(batch);
  };
  const double whole = loss_of(48, all);
  double each = 0;
  for (std::int64_t i = 0; i < 20; ++i) {
    mae::Batch one;
    mae::append(one, data.image(i), 16, 16, static_cast<std::uint32_t>(i));
    each += loss_of(4, one) / 20;
  }
  CHECK(std::fabs(whole - each) <= 1e-12);
  CHECK(std::fabs(whole - loss_of(6, all)) <= 1e-12);  // 6 + 6 + 6 + 2
}

TEST_CASE("accumulation gives the gradient of the whole batch") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  mae::Recipe recipe = tiny_recipe(24, 4);
  const TrainedModel whole = train_model(config, recipe, data, 8, DType::f64);
  for (const std::int64_t micro : {12, 8, 3}) {
    recipe.micro_batch = micro;
    const TrainedModel split = train_model(config, recipe, data, 8, DType::f64);
    CHECK(distance(split.losses, whole.losses) <= 1e-11);
  }
}

TEST_CASE("one batch on 1, 2 and 4 simulated ranks: the same samples and masks, the same gradient") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  const mae::Recipe recipe = tiny_recipe(24, 4);
  std::vector<double> reference;
  std::vector<std::uint32_t> samples;
  std::vector<std::int32_t> masks;
  for (const std::int64_t ranks : {1, 2, 4}) {
    std::vector<double> sum;
    std::vector<std::uint32_t> seen;
    std::vector<std::int32_t> drawn;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      kernels::Stream stream(kernels::devices().front());
      mae::LoaderOptions options = loader_options(config, recipe);
      options.count = recipe.batch / ranks;
      options.first = rank * options.count;
      mae::Loader loader(data, options);
      mae::Pretraining pretraining(
          stream, config,
          {.recipe = recipe, .compute = DType::f64, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
      const mae::Batch part = loader.get(5);
      pretraining.training().accumulate(part, true);
      const std::vector<double> gradient = Session::values(pretraining.model().parameters().gradient());
      sum.resize(gradient.size());
      for (std::size_t i = 0; i < gradient.size(); ++i) sum[i] += gradient[i];
      seen.insert(seen.end(), part.draws.begin(), part.draws.end());
      Session session;
      Context context = session.context();
      const Tensor draws = session.variable({options.count, 2}, {part.draws.begin(), part.draws.end()}, DType::u32);
      const Masking masking = pretraining.model().random_masking(context, draws.view, recipe.seed);
      const auto* rank_table = masking.rank.view.as<std::int32_t>();
      drawn.insert(drawn.end(), rank_table, rank_table + masking.rank.shape().count());
    }
    if (ranks == 1) {
      reference = sum;
      samples = seen;
      masks = drawn;
    }
    CHECK(seen == samples);
    CHECK(drawn == masks);
    CHECK(distance(sum, reference) <= 1e-12);
  }
}

TEST_CASE("a step on resident images is one on those that were copied before") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  for (const std::int64_t micro : {16, 8}) {  // one slot of the two a step, or both
    mae::Recipe recipe = tiny_recipe(16, 4);
    recipe.micro_batch = micro;
    kernels::Stream stream(kernels::devices().front());
    mae::Loader loader(data, loader_options(config, recipe));
    mae::Pretraining copied(
        stream, config,
        {.recipe = recipe, .compute = DType::f32, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()}),
        resident(stream, config,
                 {.recipe = recipe,
                  .compute = DType::f32,
                  .pixels = data.dtype,
                  .steps_per_epoch = loader.steps_per_epoch()});
    CHECK_THROWS_WITH(resident.training().start_on_resident(), ContainsSubstring("no images lie there yet"));
    const std::int64_t filling = micro / 8;  // steps that fill both slots
    for (std::int64_t s = 0; s < 3 * filling; ++s) {
      const double loss = copied.training().step(loader.get(s % filling)).loss;
      if (s < filling) resident.training().start(loader.get(s));
      else resident.training().start_on_resident();
      CHECK(resident.training().finish().loss == loss);
    }
  }
}

TEST_CASE("a resumed run has the bits of an uninterrupted one") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  const TestFolder folder;
  for (const DType compute : {DType::f32, DType::bf16, DType::f64}) {
    const mae::Recipe recipe = tiny_recipe(32, 4);
    const TrainedModel whole = train_model(config, recipe, data, 12, compute);
    mae::Loader loader(data, loader_options(config, recipe));
    const std::string path = folder.file("checkpoint.safetensors");
    std::vector<double> losses;
    for (const int begin : {0, 5}) {  // 5 steps, then a new process's objects, then the other 7
      kernels::Stream stream(kernels::devices().front());
      mae::Pretraining pretraining(
          stream, config,
          {.recipe = recipe, .compute = compute, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
      if (begin > 0) pretraining.load(path);
      CHECK(pretraining.training().done() == begin);
      for (int s = begin; s < (begin == 0 ? 5 : 12); ++s)
        losses.push_back(pretraining.training().step(loader.get(s)).loss);
      if (begin == 0) pretraining.save(path, {});
      if (begin > 0) CHECK(bits(pretraining.model().parameters().master()) == whole.weights);
    }
    CHECK(losses == whole.losses);
  }
}

TEST_CASE("a checkpoint keeps what rows chose by timing") {
  const mae::Config config = tiny_config();
  const TestFolder folder;
  const std::string path = folder.file("checkpoint.safetensors");
  kernels::Stream stream(kernels::devices().front());
  mae::Pretraining pretraining(
      stream, config, {.recipe = tiny_recipe(32, 4), .compute = DType::f32, .pixels = DType::u8, .steps_per_epoch = 3});
  kernels::keep_choice("test: shape", "7 8");
  pretraining.save(path, {});
  kernels::adopt_choices({{"test: shape", "9"}});  // as another start may have chosen
  pretraining.load(path);
  CHECK(kernels::find_choice("test: shape") == "7 8");
}

TEST_CASE("a checkpoint of another model is refused") {
  const mae::Config config = tiny_config();
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  const TestFolder folder;
  const std::string path = folder.file("checkpoint.safetensors");
  kernels::Stream stream(kernels::devices().front());
  mae::Pretraining(stream, config,
                   {.recipe = tiny_recipe(32, 4), .compute = DType::f32, .pixels = data.dtype, .steps_per_epoch = 3})
      .save(path, {});
  mae::Config other = config;
  other.mask_ratio = 0.5;
  mae::Pretraining second(
      stream, other, {.recipe = tiny_recipe(32, 4), .compute = DType::f32, .pixels = data.dtype, .steps_per_epoch = 3});
  CHECK_THROWS_WITH(second.load(path), ContainsSubstring("not the one configured"));
  CHECK(mae::load_model(stream, path, DType::f32)->config().mask_ratio == config.mask_ratio);
}

TEST_CASE("a step whose loss is not finite changes nothing") {
  mae::Config config = tiny_config();
  config.value_range = {1};
  mae::Dataset data = made_up_data(96, config, DType::f32);
  kernels::Stream stream(kernels::devices().front());
  const mae::Recipe recipe = tiny_recipe(32, 4);
  mae::Loader loader(data, loader_options(config, recipe));
  mae::Pretraining pretraining(
      stream, config,
      {.recipe = recipe, .compute = DType::f32, .pixels = data.dtype, .steps_per_epoch = loader.steps_per_epoch()});
  pretraining.training().step(loader.get(0));
  const auto before = bits(pretraining.model().parameters().master());
  mae::Batch bad = loader.get(1);
  float infinite = INFINITY;
  std::memcpy(bad.pixels.data(), &infinite, sizeof infinite);
  CHECK(!pretraining.training().step(bad).finite);
  CHECK(bits(pretraining.model().parameters().master()) == before);
  CHECK(pretraining.training().done() == 1);
}

TEST_CASE("a step passes the capture lint, and a program that breaks it is stopped") {
  const mae::Config config = tiny_config();
  mae::Model model(config, DType::f32);
  for (const char* device : {"cpu", "simt"}) {
    if (!kernels::with_simt && device == std::string("simt")) continue;
    kernels::Stream stream(kernels::find_device(device));
    model.initialize(stream, 0, engine::Purpose::training);
    mae::InputSlots inputs(stream, config, {.capacity = 2});
    engine::Workspace workspace(stream, DType::f32);
    bool reads_the_host = false;
    const auto program = [&](Context& c, const engine::LossSlot& loss, int slot) {
      model.forward(c, inputs.images(slot, 2), inputs.draws(slot, 2), 0, loss, 4);
      if (reads_the_host) c.stream.synchronize();
    };
    engine::TrainStep step(workspace, model.parameters(), {}, {1e-3, 1e-3, 1e-3}, program);
    workspace.reserve();
    mae::Batch batch;
    const mae::Dataset data = made_up_data(2, config, DType::u8);
    for (const std::uint32_t i : {0u, 1u}) append(batch, data.image(i), config.image_height, config.image_width, i);
    const int slot = inputs.fill(batch, 0, 2);
    for (int s = 0; s < 3; ++s) {  // the third is replayed; a batch in one piece and in two
      step.start({.first = true, .last = true}, slot);
      CHECK(step.finish().finite);
    }
    step.start({.first = true, .last = false}, slot);
    step.start({.first = false, .last = true}, slot);
    CHECK(step.finish().finite);
    CHECK(step.step() == 4);
    reads_the_host = true;
    CHECK_THROWS_WITH(step.start({}, slot), ContainsSubstring("a step that is to be captured must not synchronise"));
  }
}
