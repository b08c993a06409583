// What fine-tuning draws for a batch, as it lies in the input slots: the same however the batch is cut.
#include <array>

#include "engine/init.h"
#include "tests/support/tiny_finetuning.h"

using namespace test;

namespace {

struct Columns {
  std::vector<std::int32_t> labels, boxes, keep;  // (B, 2), (B, 8), (B, 2 depth)
  std::vector<double> lambda;                     // (B)

  bool operator==(const Columns&) const = default;
};

void add(Columns& to, const mae::InputSlots& inputs, int slot, std::int64_t count) {
  const auto append = [&]<class T>(std::vector<T>& values, std::size_t i) {
    const View column = inputs.column(slot, i, count);
    values.insert(values.end(), column.as<T>(), column.as<T>() + column.shape.count());
  };
  append(to.labels, 0);
  append(to.lambda, 1);
  append(to.boxes, 2);
  append(to.keep, 3);
}

/// Of a step's batch of 16, in so many slices of the loader, each in micro-batches.
Columns columns_of(const mae::FinetuningOptions& options, std::int64_t step, int slices, std::int64_t micro) {
  const mae::Dataset data = labelled_data(64, options.classifier.encoder);
  const mae::Recipe recipe = finetuning_recipe(16, micro);
  TinyRun run(options, recipe, data);
  Columns all;
  int slot = 0;
  for (int i = 0; i < slices; ++i) {
    mae::LoaderOptions o = loader_options(options.classifier.encoder, recipe);
    o.count = 16 / slices;
    o.first = i * o.count;
    mae::Loader loader(data, o);
    mae::Training& training = run.finetuning.training();
    training.accumulate(loader.get(step), i == 0);
    REQUIRE(o.count <= 2 * micro);  // both are still in their slots
    for (std::int64_t at = 0; at < o.count; at += micro, slot = 1 - slot) add(all, training.inputs(), slot, micro);
  }
  return all;
}

}  // namespace

TEST_CASE("what is drawn for a batch does not depend on how it is cut") {
  const mae::FinetuningOptions options = tiny_options();
  for (const std::int64_t step : {0, 5}) {  // of the first epoch and of the second
    const Columns whole = columns_of(options, step, 1, 16);
    CHECK(whole == columns_of(options, step, 1, 8));
    CHECK(whole == columns_of(options, step, 2, 8));
    CHECK(whole == columns_of(options, step, 2, 4));
    CHECK(whole == columns_of(options, step, 4, 4));
  }
  CHECK(columns_of(options, 0, 1, 16).boxes != columns_of(options, 1, 1, 16).boxes);
}

TEST_CASE("partners mirror each other, and a group shares its lambda and box") {
  mae::FinetuningOptions options = tiny_options();
  options.mix.switch_probability = 0.5;
  const mae::Dataset data = labelled_data(64, options.classifier.encoder);
  int mixed = 0, cut = 0;
  for (std::int64_t step = 0; step < 8; ++step) {
    const Columns c = columns_of(options, step, 1, 16);
    mae::Loader loader(data, loader_options(options.classifier.encoder, finetuning_recipe()));
    const mae::Batch batch = loader.get(step);
    for (std::size_t b = 0; b < 16; ++b) {
      const std::size_t partner = b / 4 * 4 + 3 - b % 4, first = b / 4 * 4;
      CHECK(c.labels[2 * b] == batch.labels[b]);
      CHECK(c.labels[2 * b + 1] == batch.labels[partner]);
      CHECK(c.lambda[b] == c.lambda[first]);
      const auto box = [&](std::size_t i) { return std::vector(&c.boxes[8 * i + 4], &c.boxes[8 * i + 8]); };
      CHECK(box(b) == box(first));
      const int area = c.boxes[8 * b + 6] * c.boxes[8 * b + 7];
      if (area > 0) CHECK(c.lambda[b] == 1 - area / 256.0);
      cut += area > 0;
      mixed += c.lambda[b] < 1;
    }
  }
  CHECK(mixed > 100);
  CHECK((cut > 30 && cut < 100));
}

TEST_CASE("the encoder sees mixed images, and the loss mixed and smoothed targets") {
  mae::FinetuningOptions options = tiny_options();
  options.mix.cutmix = options.erase.probability = 0;
  options.smoothing = 0.3;
  const mae::Dataset data = labelled_data(64, options.classifier.encoder);
  TinyRun run(options, finetuning_recipe(), data, DType::f64);
  Parameters& p = run.finetuning.classifier().parameters();
  const std::vector<double> logits{0.5, -1, 2};  // of every image
  assign(run.stream, p.at("head.weight"), std::vector<double>(3 * 32, 0));
  assign(run.stream, p.at("head.bias"), logits);
  std::vector<double> seen;
  run.stream.observer = [&](const kernels::LaunchRecord& r) {
    if (r.kernel == std::string("patchify")) seen = Session::values(r.fields[0].view);
  };
  const mae::Batch batch = run.loader.get(0);
  const double loss = run.finetuning.training().step(batch).loss;
  run.stream.observer = {};
  Columns c;
  add(c, run.finetuning.training().inputs(), 0, 16);
  std::vector<double> mixed;
  double expected = 0;
  const double log_sum = std::log(std::exp(0.5) + std::exp(-1) + std::exp(2));
  for (std::size_t b = 0; b < 16; ++b) {
    const std::size_t partner = b / 4 * 4 + 3 - b % 4;
    const double lambda = c.lambda[b];
    for (std::size_t i = 0; i < 256; ++i) {
      const auto value = [&](std::size_t of) {
        return (static_cast<double>(batch.pixels[256 * of + i]) / 255 - 0.5) / 0.25;
      };
      mixed.push_back(lambda * value(b) + (1 - lambda) * value(partner));
    }
    for (std::size_t k = 0; k < 3; ++k) {
      const auto hot = [&](std::size_t of) { return 0.1 + 0.7 * (batch.labels[of] == static_cast<int>(k)); };
      expected += (lambda * hot(b) + (1 - lambda) * hot(partner)) * (log_sum - logits[k]) / 16;
    }
  }
  CHECK(distance(seen, mixed) <= 1e-12);
  CHECK(std::abs(loss - expected) <= 1e-12);
}

TEST_CASE("branches are kept as often as their rate says, each on its own") {
  mae::FinetuningOptions options = still_options();
  options.drop_path = 0.4;  // of block 1; 0 of block 0
  options.erase.probability = 0.25;
  const mae::Dataset data = labelled_data(512, options.classifier.encoder);
  TinyRun run(options, finetuning_recipe(512), data);
  run.finetuning.training().accumulate(run.loader.get(0), true);
  run.finetuning.training().accumulate(run.loader.get(1), true);
  Columns c;
  for (const int slot : {0, 1}) add(c, run.finetuning.training().inputs(), slot, 512);
  std::array<double, 4> kept{};
  double both = 0, erased = 0, again = 0;
  for (std::size_t b = 0; b < 1024; ++b) {
    for (std::size_t i = 0; i < 4; ++i) kept[i] += c.keep[4 * b + i] / 1024.0;
    both += c.keep[4 * b + 2] * c.keep[4 * b + 3] / 1024.0;
    erased += (c.boxes[8 * b + 2] > 0) / 1024.0;
    again += (b < 512 && c.keep[4 * b + 2] == c.keep[4 * (b + 512) + 2]) / 512.0;  // order differs, too
    CHECK(c.lambda[b] == 1);
  }
  CHECK(kept[0] == 1);
  CHECK(kept[1] == 1);
  CHECK(std::abs(kept[2] - 0.6) < 0.05);  // three deviations are 0.046
  CHECK(std::abs(kept[3] - 0.6) < 0.05);
  CHECK(std::abs(both - 0.36) < 0.05);
  CHECK(std::abs(erased - 0.25) < 0.05);
  CHECK(std::abs(again - 0.52) < 0.07);
}

TEST_CASE("a damaged image of many answers is replaced together with its answers") {
  mae::FinetuningOptions options = still_options();
  options.drop_path = 0.4;
  options.erase.probability = 1;  // for as many columns as elsewhere
  options.classifier.task = mae::Task::multi;
  mae::Dataset data = labelled_data(64, options.classifier.encoder);
  for (int i = 0; i < 64; ++i)
    for (const int answer : {i % 2, i / 2 % 2, i / 4 % 2}) options.targets.push_back(static_cast<std::int8_t>(answer));
  data.image = [whole = data.image](std::int64_t i) {
    if (i == 20) throw kernels::Error("damaged", "sample 20");
    return whole(i);
  };
  const mae::Recipe recipe = finetuning_recipe(64);
  TinyRun run(options, recipe, data);
  mae::LoaderOptions loading = loader_options(options.classifier.encoder, recipe);
  loading.max_damaged = 0.1;
  mae::Loader loader(data, loading);
  const mae::Batch batch = loader.get(0);
  run.finetuning.training().accumulate(batch, true);
  const View answers = run.finetuning.training().inputs().column(0, 0, 64);
  for (std::size_t b = 0; b < 64; ++b) {
    const std::uint32_t drawn = batch.draws[2 * b], read = drawn == 20 ? 21 : drawn;
    CHECK(batch.samples[b] == read);
    for (std::size_t k = 0; k < 3; ++k) CHECK(answers.as<std::int32_t>()[3 * b + k] == static_cast<int>(read >> k & 1));
  }
}

TEST_CASE("a slice that cuts a mixing group is refused") {
  const mae::FinetuningOptions options = tiny_options();
  const mae::Dataset data = labelled_data(64, options.classifier.encoder);
  const mae::Recipe recipe = finetuning_recipe(16, 4);
  TinyRun run(options, recipe, data);
  for (const auto& [first, count] : {std::pair{2, 8}, std::pair{0, 6}}) {
    mae::LoaderOptions o = loader_options(options.classifier.encoder, recipe);
    o.first = first;
    o.count = count;
    mae::Loader loader(data, o);
    CHECK_THROWS_WITH(run.finetuning.training().accumulate(loader.get(0), true), ContainsSubstring("mixing group"));
  }
}
