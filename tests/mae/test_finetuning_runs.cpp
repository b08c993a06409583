// labels: slow
// How fine-tuning and the linear probe behave: what they learn, what a resume, a micro-batch or a step that is not
// finite changes, and what averages and running statistics are.
#include <array>
#include <cstring>
#include <fstream>
#include <numeric>

#include "engine/init.h"
#include "mae/features.h"
#include "tests/support/folder.h"
#include "tests/support/thread_count.h"
#include "tests/support/tiny_finetuning.h"

using namespace test;

namespace {

double mean(const std::vector<double>& v, std::size_t from, std::size_t to) {
  return std::accumulate(v.begin() + static_cast<std::ptrdiff_t>(from), v.begin() + static_cast<std::ptrdiff_t>(to),
                         0.0) /
         static_cast<double>(to - from);
}

double accuracy(const mae::Scores& s) {
  double right = 0;
  for (std::size_t i = 0; i < s.labels.size(); ++i) {
    const auto row = s.logits.begin() + static_cast<std::ptrdiff_t>(i * static_cast<std::size_t>(s.K));
    right += std::max_element(row, row + s.K) - row == s.labels[i];
  }
  return right / static_cast<double>(s.count);
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

mae::FinetuningOptions with_average(mae::FinetuningOptions o) {
  o.ema = 0.9;
  return o;
}

}  // namespace

TEST_CASE("fine-tuning learns, in f64, f32 and bf16") {
  const mae::FinetuningOptions options = still_options();
  const mae::Dataset data = labelled_data(96, options.classifier.encoder),
                     others = labelled_data(200, options.classifier.encoder);
  for (const DType compute : {DType::f64, DType::f32, DType::bf16}) {
    TinyRun run(options, finetuning_recipe(), data, compute, kernels::devices().front(), mae::no_augmentation);
    const std::vector<double> losses = run.steps(60);
    INFO(kernels::name_of(compute) << ": " << mean(losses, 0, 5) << " -> " << mean(losses, 55, 60));
    CHECK(mean(losses, 55, 60) < 0.5 * mean(losses, 0, 5));
    const mae::Scores scores = run.finetuning.evaluate(others);
    CHECK(accuracy(scores) > 0.6);
  }
}

TEST_CASE("with all that is drawn, on any number of threads, the same bits, and the loss falls") {
  const mae::Dataset data = labelled_data(96, tiny_config());
  const auto train = [&] { return TinyRun(tiny_options(), finetuning_recipe(), data).steps(30); };
  const std::vector<double> losses = train();
  CHECK(mean(losses, 24, 30) < mean(losses, 0, 6));
  for (const int threads : {1, 3}) CHECK(with_threads(threads, train) == losses);
}

TEST_CASE("the linear probe learns, by LARS, and no bit of the encoder moves") {
  const mae::Dataset data = labelled_data(96, tiny_config());
  TinyRun run(probe_options(), probe_recipe(), data, DType::f32, kernels::devices().front(), mae::no_augmentation);
  engine::Parameters& p = run.finetuning.classifier().parameters();
  const auto encoder = [&] {
    std::vector<std::byte> all;
    for (const Segment& s : p.segments()) {
      const std::vector<std::byte> some = bits(p.at(s.name).value());
      if (!s.name.starts_with("head.")) all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  };
  const auto before = encoder();
  const std::vector<double> losses = run.steps(60);
  INFO(mean(losses, 0, 5) << " -> " << mean(losses, 55, 60));
  CHECK(mean(losses, 55, 60) < 0.8 * mean(losses, 0, 5));
  CHECK(encoder() == before);
  CHECK(p.trainable_count() == 3 * 33);
}

TEST_CASE("a resumed fine-tuning has the bits of an uninterrupted one") {
  const mae::Dataset data = labelled_data(96, tiny_config());
  const TestFolder folder;
  const std::string half = folder.file("half"), first = folder.file("whole"), second = folder.file("resumed");
  struct Case {
    mae::FinetuningOptions options;
    mae::Recipe recipe;
    DType compute;
  };
  for (const Case& c : {Case{with_average(tiny_options()), finetuning_recipe(), DType::f32},
                        Case{with_average(tiny_options()), finetuning_recipe(16, 8), DType::bf16},
                        Case{with_average(probe_options()), probe_recipe(), DType::f32}}) {
    INFO(kernels::name_of(c.compute) << (c.options.classifier.head == mae::Head::probe ? ", probe" : ""));
    const auto make = [&] { return std::make_unique<TinyRun>(c.options, c.recipe, data, c.compute); };
    const auto whole = make();
    const std::vector<double> losses = whole->steps(10);
    whole->finetuning.save(first, {}, Content::training_state);
    const auto begun = make();
    std::vector<double> parts = begun->steps(5);
    begun->finetuning.save(half, {}, Content::training_state);
    const auto resumed = make();
    resumed->finetuning.load(half);
    CHECK(resumed->finetuning.training().done() == 5);
    const std::vector<double> rest = resumed->steps(5);
    parts.insert(parts.end(), rest.begin(), rest.end());
    CHECK(parts == losses);
    resumed->finetuning.save(second, {}, Content::training_state);
    CHECK((contents(first) == contents(second)));  // weights, moments, averages, statistics
    CHECK((contents(first) != contents(half)));
    CHECK(resumed->finetuning.evaluate(data).logits == whole->finetuning.evaluate(data).logits);
  }
}

TEST_CASE("a checkpoint of another classifier is refused") {
  const TestFolder folder;
  const std::string path = folder.file("checkpoint");
  const mae::Dataset data = labelled_data(32, tiny_config());
  TinyRun(tiny_options(), finetuning_recipe(), data).finetuning.save(path, {}, Content::training_state);
  mae::FinetuningOptions other = tiny_options();
  other.classifier.classes[1] = "between";
  CHECK_THROWS_WITH(TinyRun(other, finetuning_recipe(), data).finetuning.load(path),
                    ContainsSubstring("not the one configured"));
  CHECK_THROWS_WITH(TinyRun(with_average(tiny_options()), finetuning_recipe(), data).finetuning.load(path),
                    ContainsSubstring("ema.cls_token"));
  kernels::Stream stream(kernels::devices().front());
  const std::unique_ptr<mae::Classifier> loaded = mae::load_classifier(stream, path, DType::f32);
  CHECK(loaded->config().classes == tiny_options().classifier.classes);
}

TEST_CASE("micro-batches give the step of the whole batch") {
  const mae::Dataset data = labelled_data(96, tiny_config());
  TinyRun whole(tiny_options(), finetuning_recipe(16), data, DType::f64);
  const std::vector<double> losses = whole.steps(6);
  for (const std::int64_t micro : {8, 4}) {
    TinyRun split(tiny_options(), finetuning_recipe(16, micro), data, DType::f64);
    CHECK(distance(split.steps(6), losses) <= 1e-12);
    CHECK(distance(split.norms, whole.norms) <= 1e-12);
  }
}

TEST_CASE("the average of the weights, and what is evaluated with it") {
  const mae::Dataset data = labelled_data(48, tiny_config());
  const TestFolder folder;
  const std::string path = folder.file("checkpoint");
  for (const DType compute : {DType::f64, DType::bf16}) {
    const auto run = std::make_unique<TinyRun>(with_average(tiny_options()), finetuning_recipe(), data, compute);
    engine::Parameters& p = run->finetuning.classifier().parameters();
    const auto weight = [&] { return Session::values(p.part(p.master(), p.at("head.weight").index, {3 * 32})); };
    std::vector<double> average = weight();
    for (int s = 0; s < 4; ++s) {
      run->steps(1);
      const std::vector<double> now = weight();
      for (std::size_t i = 0; i < now.size(); ++i) average[i] = 0.9 * average[i] + 0.1 * now[i];
    }
    run->finetuning.save(path, {}, Content::weights);
    CHECK(distance(saved_values(path, "ema.head.weight"), average) <= (compute == DType::f64 ? 1e-14 : 1e-6));
    CHECK(saved_values(path, "head.weight") == weight());
    mae::Classifier averaged(tiny_options().classifier, compute);
    averaged.initialize(run->stream, 0, mae::HeadInit::tuned, Purpose::inference);
    for (const Segment& s : averaged.parameters().segments())
      assign(run->stream, averaged.parameters().at(s.name), saved_values(path, "ema." + s.name));
    averaged.parameters().refresh_compute(run->stream);
    Workspace workspace(run->stream, compute);
    mae::Evaluator evaluator(workspace, averaged, data.dtype);
    workspace.reserve();
    const std::vector<double> expected = evaluator.run(data).logits;
    const auto before = run->weights();
    CHECK(run->finetuning.evaluate(data).logits == expected);
    const std::unique_ptr<mae::Classifier> loaded = mae::load_classifier(run->stream, path, compute);
    CHECK(bits(loaded->parameters().master()) == bits(averaged.parameters().master()));
    CHECK(run->weights() == before);
    mae::Dataset damaged = data;
    damaged.image = [](std::int64_t) -> mae::Image { throw kernels::Error("damaged", "image 0"); };
    CHECK_THROWS_WITH(run->finetuning.evaluate(damaged), ContainsSubstring("damaged"));
    CHECK(run->weights() == before);
  }
}

TEST_CASE("a step that is not finite changes neither weights nor averages nor statistics") {
  const TestFolder folder;
  mae::FinetuningOptions tuned = with_average(still_options()), probe = with_average(probe_options());
  for (mae::FinetuningOptions* o : {&tuned, &probe}) {
    o->classifier.encoder.value_range = {1};
    const mae::Dataset data = labelled_data(48, o->classifier.encoder, DType::f32);
    TinyRun run(*o, o == &tuned ? finetuning_recipe() : probe_recipe(), data);
    run.steps(2);
    run.finetuning.save(folder.file("before"), {}, Content::training_state);
    mae::Batch bad = run.loader.get(2);
    const float infinite = INFINITY;
    std::memcpy(bad.pixels.data(), &infinite, sizeof infinite);
    CHECK(!run.finetuning.training().step(bad).finite);
    CHECK(run.finetuning.training().first_not_finite(bad).find("output") != std::string::npos);
    run.finetuning.save(folder.file("after"), {}, Content::training_state);
    CHECK((contents(folder.file("before")) == contents(folder.file("after"))));
  }
}

TEST_CASE("the features of a classifier are what its head multiplies") {
  const mae::Dataset data = labelled_data(130, tiny_config());
  for (const mae::Pooling pooling : {mae::Pooling::mean, mae::Pooling::cls}) {
    mae::FinetuningOptions options = still_options();
    options.classifier.pooling = pooling;
    TinyRun run(options, finetuning_recipe(), data, DType::f64);
    run.steps(3);
    const mae::Classifier& classifier = run.finetuning.classifier();
    const engine::Parameters& p = classifier.parameters();
    const auto values = [&](const char* name, const kernels::Shape& shape) {
      return Session::values(p.part(p.master(), run.finetuning.classifier().parameters().at(name).index, shape));
    };
    const std::vector<double> weight = values("head.weight", {3, 32}), bias = values("head.bias", {3});
    const mae::Features features = encoder_features(run.stream, classifier, data);
    const mae::Scores scores = run.finetuning.evaluate(data);
    REQUIRE(features.values.size() == 130 * 32);
    CHECK(features.labels == scores.labels);
    std::vector<double> logits;
    for (std::size_t n = 0; n < 130; ++n) {
      for (std::size_t k = 0; k < 3; ++k) {
        double sum = bias[k];
        for (std::size_t c = 0; c < 32; ++c) sum += weight[32 * k + c] * features.values[32 * n + c];
        logits.push_back(sum);
      }
    }
    CHECK(distance(scores.logits, logits) <= 1e-6);  // features are f32
  }
}

TEST_CASE("running statistics are those of the features of the last micro-batch") {
  const mae::Dataset data = labelled_data(48, tiny_config());
  const TestFolder folder;
  const std::string path = folder.file("checkpoint");
  kernels::Stream stream(kernels::devices().front());
  mae::Model model(tiny_config(), DType::f64);
  model.initialize(stream, finetuning_recipe().seed, Purpose::inference);
  const mae::Features features = encoder_features(stream, model, data, mae::Pooling::cls);
  for (const std::int64_t micro : {16, 8}) {
    mae::Recipe recipe = probe_recipe();
    recipe.micro_batch = micro;
    TinyRun run(probe_options(), recipe, data, DType::f64, kernels::devices().front(), mae::no_augmentation);
    run.steps(1);
    run.finetuning.save(path, {}, Content::weights);
    const mae::Batch batch = run.loader.get(0);
    std::vector<double> mean(32), var(32);
    for (std::size_t c = 0; c < 32; ++c) {
      double sum = 0, squares = 0;
      const auto m = static_cast<double>(micro);
      for (std::size_t b = static_cast<std::size_t>(16 - micro); b < 16; ++b) {
        const double x = features.values[32 * batch.draws[2 * b] + c];
        sum += x, squares += x * x;
      }
      mean[c] = 0.1 * sum / m;
      var[c] = 0.9 + 0.1 * (squares - sum * sum / m) / (m - 1);
    }
    CHECK(distance(saved_values(path, "head.0.running_mean"), mean) <= 1e-6);
    CHECK(distance(saved_values(path, "head.0.running_var"), var) <= 1e-6);
  }
}

TEST_CASE("scores are those of every image on its own") {
  const mae::Dataset data = labelled_data(230, tiny_config());
  for (const mae::FinetuningOptions& options : {tiny_options(), probe_options()}) {
    TinyRun run(options, options.tuned.everything ? finetuning_recipe() : probe_recipe(), data, DType::f64);
    run.steps(1);
    std::vector<std::int64_t> done;
    const mae::Scores all = run.finetuning.evaluate(data, [&](std::int64_t n) { done.push_back(n); });
    CHECK(done == std::vector<std::int64_t>{100, 200, 230});
    std::vector<double> logits;
    for (std::int64_t i = 0; i < 230; ++i) {
      mae::Dataset one = data;
      one.size = 1;
      one.image = [&](std::int64_t) { return data.image(i); };
      one.label = [&](std::int64_t) { return data.label(i); };
      const mae::Scores scores = run.finetuning.evaluate(one);
      REQUIRE(scores.labels == std::vector<std::int32_t>{all.labels[static_cast<std::size_t>(i)]});
      logits.insert(logits.end(), scores.logits.begin(), scores.logits.end());
    }
    CHECK(distance(all.logits, logits) <= 1e-12);
  }
}

TEST_CASE("first losses: ln K, weighed by class, and ln 2 for each answer that is known") {
  const mae::Dataset data = labelled_data(16, tiny_config());  // one batch
  mae::FinetuningOptions options = still_options();
  options.init = mae::HeadInit::tuned;  // almost no head: every class is as likely
  const auto first_loss = [&] { return TinyRun(options, finetuning_recipe(), data, DType::f64).steps(1)[0]; };
  CHECK(std::abs(first_loss() - std::log(3)) < 1e-3);
  options.class_weight = {1, 0, 5};
  double weight = 0;
  for (int i = 0; i < 16; ++i) weight += options.class_weight[static_cast<std::size_t>(data.label(i))] / 16;
  CHECK(std::abs(first_loss() - weight * std::log(3)) < 1e-3 * weight);
  options.class_weight.clear();
  options.classifier.task = mae::Task::multi;
  for (int i = 0; i < 16 * 3; ++i) options.targets.push_back(std::array<std::int8_t, 4>{-1, 0, 1, -1}[i % 4]);
  CHECK(std::abs(first_loss() - 0.5 * std::log(2)) < 1e-3);
}
