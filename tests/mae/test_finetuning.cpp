// The numbers of the recipe: rates, scales, what is decayed, initial values, targets; what a checkpoint lends; refusals.
#include "tests/support/folder.h"
#include "tests/support/tiny_finetuning.h"

using namespace test;

namespace {

/// Declared, not reserved.
mae::Classifier dry(const std::string& preset, const std::string& pooling = "mean", int classes = 1000) {
  return {mae::ClassifierConfig{.encoder = mae::preset(preset),
                                .classes = std::vector<std::string>(static_cast<std::size_t>(classes), "x"),
                                .pooling = pooling == "mean" ? mae::Pooling::mean : mae::Pooling::cls},
          DType::f32};
}

double scale_of(mae::Classifier& classifier, const std::string& name) {
  return classifier.parameters().segments()[static_cast<std::size_t>(classifier.parameters().at(name).index)].lr_scale;
}

bool near(double a, double b, double bound) { return std::abs(a - b) <= bound * std::abs(b); }

double deviation(const std::vector<double>& v) {
  double sum = 0, squares = 0;
  for (const double x : v) sum += x, squares += x * x;
  const auto n = static_cast<double>(v.size());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

}  // namespace

TEST_CASE("learning rates of the official fine-tuning") {
  mae::Recipe recipe = finetuning_recipe(1024, 32);
  recipe.blr = 5e-4;
  recipe.epochs = 100;
  recipe.warmup_epochs = 5;
  kernels::Stream stream(kernels::devices().front());
  mae::Finetuning finetuning(stream, tiny_options(), {.recipe = recipe, .steps_per_epoch = 1251});
  const engine::WarmupCosine& schedule = finetuning.training().schedule();
  CHECK(near(scale_of(finetuning.classifier(), "blocks.1.norm1.weight"), 0.75, 1e-12));
  CHECK(schedule.steps() == 125'100);
  CHECK(schedule.at(0) == 0);
  CHECK(near(schedule.at(1251), 4e-4, 1e-12));                      // 2e-3 / 5
  CHECK(near(schedule.at(5 * 1251), 2e-3, 1e-12));                  // the peak
  CHECK(near(schedule.at(105 * 1251 / 2), 1.0005e-3, 2e-5));        // half way down: (2e-3 + 1e-6) / 2
  CHECK(near(schedule.at(5 * 1251 + 95 * 417), 1.50025e-3, 1e-9));  // a third: 1e-6 + 1.999e-3 * 3 / 4
  CHECK(near(schedule.at(125'100), 1e-6, 1e-9));
}

TEST_CASE("layer decay of ViT-B, L and H") {
  struct Case {
    const char* preset;
    double decay, embedding, first;
    int depth;
  };
  for (const Case& c : {Case{"mae_vit_base_patch16", 0.65, 0.0037, 0.00569, 12},
                        Case{"mae_vit_large_patch16", 0.75, 0.000753, 0.00100, 24},
                        Case{"mae_vit_huge_patch14", 0.75, 7.5e-5, 1.0e-4, 32}}) {
    INFO(c.preset);
    mae::Classifier classifier = dry(c.preset);
    mae::set_layer_decay(classifier.parameters(), c.decay, c.depth);
    for (const char* name : {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"})
      CHECK(near(scale_of(classifier, name), c.embedding, 0.01));
    CHECK(near(scale_of(classifier, "blocks.0.norm1.weight"), c.first, 0.01));
    CHECK(near(scale_of(classifier, "blocks.1.mlp.fc2.bias"), c.first / c.decay, 0.01));
    CHECK(near(scale_of(classifier, "blocks." + std::to_string(c.depth - 1) + ".attn.qkv.weight"), c.decay, 1e-12));
    for (const char* name : {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"})
      CHECK(scale_of(classifier, name) == 1);
  }
}

TEST_CASE("classifiers have as many parameters as timm's") {
  for (const char* pooling : {"mean", "cls"}) {
    CHECK(dry("mae_vit_base_patch16", pooling).parameters().count() == 86'567'656);
    CHECK(dry("mae_vit_large_patch16", pooling).parameters().count() == 304'326'632);
    CHECK(dry("mae_vit_huge_patch14", pooling).parameters().count() == 632'045'800);
  }
}

TEST_CASE("1-D tensors, positions and the class token are not decayed, or everything is") {
  mae::ClassifierConfig config = tiny_options().classifier;
  config.encoder.depth = 1;
  const std::set<std::string> matrices{"patch_embed.proj.weight",   "blocks.0.attn.qkv.weight",
                                       "blocks.0.attn.proj.weight", "blocks.0.mlp.fc1.weight",
                                       "blocks.0.mlp.fc2.weight",   "head.weight"};
  const auto decayed = [&] {
    const mae::Classifier classifier(config, DType::f32);
    std::set<std::string> names;
    for (const Segment& s : classifier.parameters().segments())
      if (s.decay == Decay::yes) names.insert(s.name);
    return names;
  };
  CHECK(decayed() == matrices);
  config.encoder.decay = mae::DecayRule::all;
  CHECK(decayed().size() == 20);
}

TEST_CASE("rates of drop path are linear, from none to the rate asked for") {
  const std::vector<double> base = mae::drop_path_rates(0.1, 12), large = mae::drop_path_rates(0.2, 24);
  REQUIRE(base.size() == 12);
  CHECK(base[0] == 0);
  CHECK(near(base[1], 0.1 / 11, 1e-12));
  CHECK(near(base[11], 0.1, 1e-12));
  CHECK(near(large[12], 0.2 * 12 / 23, 1e-12));
  CHECK(mae::drop_path_rates(0.3, 1) == std::vector<double>{0});
}

TEST_CASE("heads begin with the deviation of their kind, and no bias") {
  mae::ClassifierConfig config{.encoder = tiny_config(), .classes = std::vector<std::string>(500, "x")};
  config.encoder.dim = 192;
  config.encoder.depth = 1;
  kernels::Stream stream(kernels::devices().front());
  for (const auto& [init, expected] : {std::pair{mae::HeadInit::tuned, 2e-5}, std::pair{mae::HeadInit::probe, 0.01},
                                       std::pair{mae::HeadInit::scratch, 0.02}}) {
    mae::Classifier classifier(config, DType::f32);
    classifier.initialize(stream, 5, init, Purpose::inference);
    CHECK(near(deviation(Session::values(classifier.parameters().at("head.weight").value())), expected, 0.02));
    CHECK(Session::values(classifier.parameters().at("head.bias").value()) == std::vector<double>(500, 0));
    CHECK(Session::values(classifier.parameters().at("fc_norm.weight").value()) == std::vector<double>(192, 1));
  }
}

TEST_CASE("soft targets of smoothed and mixed labels") {
  Session session;
  const Tensor logits = session.variable({2, 1000}, std::vector<double>(2000, 0)),
               labels = session.variable({2, 2}, {3, 700, 5, 998}, DType::i32),
               lambda = session.variable({2}, {1, 0.3}), loss = session.variable({1}, {NAN});
  Tape tape;
  Context context = session.context(&tape);
  const Tensor result = cross_entropy(context, logits, {.labels = labels.view, .lambda = lambda.view, .smoothing = 0.1},
                                      loss.view, 0.5, kernels::Write::overwrite);
  tape.backward(context, result);
  const std::vector<double> gradient = Session::values(logits.gradient->view);
  const auto target = [&](std::size_t sample, std::size_t k) { return 1e-3 - 2 * gradient[1000 * sample + k]; };
  const double off = 1e-4;  // 0.1 / K
  CHECK(near(target(0, 0), off, 1e-9));
  CHECK(near(target(0, 3), 0.9 + off, 1e-9));
  CHECK(near(target(0, 700), off, 1e-9));
  CHECK(near(target(1, 5), 0.27 + off, 1e-9));
  CHECK(near(target(1, 998), 0.63 + off, 1e-9));
  CHECK(near(Session::get(loss.view, 0), std::log(1000.0), 1e-12));
}

TEST_CASE("a classifier from scratch has the encoder that a model draws from the seed") {
  mae::ClassifierConfig config = tiny_options().classifier;
  config.pooling = mae::Pooling::cls;
  kernels::Stream stream(kernels::devices().front());
  mae::Model model(config.encoder, DType::f32);
  model.initialize(stream, 11, Purpose::inference);
  mae::Classifier classifier(config, DType::f32);
  classifier.initialize(stream, 11, mae::HeadInit::scratch, Purpose::inference);
  int same = 0;
  for (const Segment& s : classifier.parameters().segments()) {
    if (s.name.starts_with("head.")) continue;
    INFO(s.name);
    CHECK(bits(classifier.parameters().at(s.name).value()) == bits(model.parameters().at(s.name).value()));
    ++same;
  }
  CHECK(same == 4 + 2 * 12 + 2);
}

TEST_CASE("fine-tuning begins with the encoder of a checkpoint, and with a head of its own") {
  const TestFolder folder;
  const std::string path = folder.file("pretrained.safetensors"), tuned = folder.file("tuned.safetensors");
  kernels::Stream stream(kernels::devices().front());
  const mae::TrainingOptions training{.recipe = finetuning_recipe(), .steps_per_epoch = 2};
  mae::TrainingOptions other_seed = training;
  other_seed.recipe.seed = 77;
  mae::Pretraining pretraining(stream, tiny_config(), other_seed);
  pretraining.save(path, {});
  mae::FinetuningOptions options = tiny_options();
  mae::Finetuning fresh(stream, options, training);
  fresh.save(tuned, {}, Content::weights);
  options.from = path;
  for (const mae::Pooling pooling : {mae::Pooling::mean, mae::Pooling::cls}) {
    options.classifier.pooling = pooling;
    mae::Finetuning loaded(stream, options, training);
    for (const Segment& s : loaded.classifier().parameters().segments()) {
      INFO(s.name);
      const View value = loaded.classifier().parameters().at(s.name).value();
      if (s.name.starts_with("head.")) {
        CHECK(bits(value) == bits(fresh.classifier().parameters().at("head" + s.name.substr(4)).value()));
      } else if (!s.name.starts_with("fc_norm.")) {
        CHECK(bits(value) == bits(pretraining.model().parameters().at(s.name).value()));
      }
    }
  }
  options.from = tuned;  // which has no norm.weight
  CHECK_THROWS_WITH(mae::Finetuning(stream, options, training),
                    ContainsSubstring("norm.weight") && ContainsSubstring(tuned));
  options.from = path;
  for (int mae::Config::*size : {&mae::Config::depth, &mae::Config::heads}) {
    mae::FinetuningOptions other = options;
    other.classifier.encoder.*size = 1;
    CHECK_THROWS_WITH(mae::Finetuning(stream, other, training),
                      ContainsSubstring("2 blocks of 2 heads") && ContainsSubstring(path));
  }
  options.classifier.encoder.dim = 64;
  CHECK_THROWS_WITH(mae::Finetuning(stream, options, training),
                    ContainsSubstring("cls_token") && ContainsSubstring("(1, 1, 64)") && ContainsSubstring(path));
}

TEST_CASE("options that cannot be are named by their flag") {
  const mae::Recipe recipe = finetuning_recipe();
  CHECK_NOTHROW(validate(tiny_options(), recipe));
  const auto refuses = [&](const char* flag, const std::function<void(mae::FinetuningOptions&)>& change) {
    mae::FinetuningOptions o = tiny_options();
    change(o);
    CHECK_THROWS_WITH(validate(o, recipe), ContainsSubstring(flag));
  };
  refuses("--layer-decay", [](auto& o) { o.layer_decay = 0; });
  refuses("--drop-path", [](auto& o) { o.drop_path = 1; });
  refuses("--smoothing", [](auto& o) { o.smoothing = 1; });
  refuses("--ema", [](auto& o) { o.ema = 1; });
  refuses("--mix-group", [](auto& o) { o.mix_group = 3; });
  refuses("--mix-group", [](auto& o) { o.mix_group = 32; });
  refuses("--task", [](auto& o) { o.classifier.task = mae::Task::multi; });
  refuses("--targets", [](auto& o) {
    o.mix.mixup = o.mix.cutmix = 0;
    o.classifier.task = mae::Task::multi;
    o.targets = {1, 0, 1, 1};
  });
  refuses("--class-weights", [](auto& o) { o.class_weight = {1, 2}; });
  mae::FinetuningOptions o = tiny_options();
  o.tuned = {.everything = false, .blocks = 3};
  CHECK_THROWS_WITH(mae::Classifier(o.classifier, DType::f32, o.tuned), ContainsSubstring("--blocks"));
  o.classifier.classes = {"alone"};
  CHECK_THROWS_WITH(mae::Classifier(o.classifier, DType::f32), ContainsSubstring("1 classes"));
}
