// Every switch of mae/execution.h leaves loss and gradients as they are: f64, 1e-9, against the official order of work.
#include "mae/execution.h"
#include "tests/support/tiny_training.h"

using namespace test;

namespace {

struct Outcome {
  double loss = 0;
  std::vector<std::pair<std::string, std::vector<double>>> gradients;  // by segment
  double launches = 0, bytes = 0;
};

/// Small, but with a first, a middle and a last decoder block.
mae::Config small_config() {
  mae::Config c = tiny_config();
  c.decoder_depth = 3;
  c.norm_pix = true;
  c.channels = 2;
  return c;
}

/// `first`: samples of a first micro-batch, of three in all.
Outcome outcome(const mae::Config& config, const mae::Execution& execution, std::int64_t first = 3) {
  constexpr std::int64_t B = 3;
  Session session;
  mae::Model model(config, DType::f64, execution);
  model.initialize(session.stream, 7, Purpose::training);
  std::uint32_t salt = 0;  // biases and tokens are not to be zero
  for (const Segment& s : model.parameters().segments()) {
    if (s.trainable == Trainable::no) continue;
    const View value = model.parameters().at(s.name).value({s.shape.count()});
    const std::vector<double> noise = normals(s.shape.count(), ++salt, 0.1);
    for (std::size_t i = 0; i < noise.size(); ++i) Session::set(value, i, Session::get(value, i) + noise[i]);
  }
  const Shape shape{B, config.image_height, config.image_width, config.channels};
  const Tensor images = session.variable(shape, normals(shape.count(), 900)),
               scale = session.variable({config.channels}, {1.5, 0.5}),
               shift = session.variable({config.channels}, {0.25, -0.5}),
               draws = session.variable({B, 2}, {5, 1, 17, 1, 3, 2}, DType::u32), loss = session.variable({1}, {NAN});
  kernels::Stream& stream = session.stream;
  Outcome result;
  stream.observer = [&](const kernels::LaunchRecord& record) {
    ++result.launches;
    result.bytes += record.cost.bytes;
  };
  model.parameters().begin_gradients();
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    const auto rows = [&](const Tensor& all) {
      View v = all.view;
      v.shape.dims[0] = end - begin;
      v.data = v.as<std::byte>() + static_cast<std::int64_t>(all.view.bytes()) / B * begin;
      return v;
    };
    Tape tape;
    Context context = session.context(&tape);
    const auto mode = begin == 0 ? kernels::Write::overwrite : kernels::Write::accumulate;
    model.forward(context, {rows(images), scale.view, shift.view}, rows(draws), 11, {loss.view, mode}, B);
    tape.backward(context, tape.last());
  };
  part(0, first);
  if (first < B) part(first, B);
  stream.observer = {};
  result.loss = Session::get(loss.view, 0);
  for (const Segment& s : model.parameters().segments()) {
    if (s.trainable == Trainable::no) continue;
    const Parameter p = model.parameters().at(s.name);
    result.gradients.emplace_back(s.name, Session::values(p.gradient({s.shape.count()})));
  }
  return result;
}

void check_equal(const Outcome& ours, const Outcome& plain) {
  CHECK(std::abs(ours.loss - plain.loss) <= 1e-9 * plain.loss);
  REQUIRE(ours.gradients.size() == plain.gradients.size());
  for (std::size_t i = 0; i < ours.gradients.size(); ++i) {
    auto [name, got] = ours.gradients[i];
    std::vector<double> wanted = plain.gradients[i].second;
    INFO(name);
    if (name.ends_with("qkv.bias")) {  // the keys' third is truly zero
      for (std::size_t k = got.size() / 3; k < 2 * got.size() / 3; ++k) {
        CHECK(std::abs(got[k] - wanted[k]) <= 1e-12);
        got[k] = wanted[k] = 0;
      }
    }
    CHECK(distance(got, wanted) <= 1e-9);
  }
}

}  // namespace

TEST_CASE("each switch alone, and all but one: the loss and every gradient of the official order of work") {
  const mae::Config config = small_config();
  const Outcome plain = outcome(config, mae::plain_execution());
  CHECK(std::isfinite(plain.loss));
  for (const mae::ExecutionField& field : mae::execution_fields()) {
    INFO(field.key);
    mae::Execution without = mae::plain_execution(), rest;
    without.fuse_mlp = field.member == &mae::Execution::store_gelu;  // which it says something about
    without.masked_head = field.member == &mae::Execution::masked_queries;
    mae::Execution with = without;
    with.*field.member = !(with.*field.member);
    rest.*field.member = !(rest.*field.member);
    const Outcome before = outcome(config, without), after = outcome(config, with);
    check_equal(after, plain);
    check_equal(outcome(config, rest), plain);
    CHECK((after.bytes != before.bytes || after.launches != before.launches));  // it does something
  }
}

TEST_CASE("all switches on other shapes of models") {
  const auto check = [](auto change) {
    mae::Config config = small_config();
    change(config);
    check_equal(outcome(config, {}), outcome(config, mae::plain_execution()));
  };
  check([](mae::Config&) {});
  check([](mae::Config& c) { c.positions = mae::Positions::learned; });
  check([](mae::Config& c) { c.decoder_depth = 1; });  // first and last at once
  check([](mae::Config& c) { c.decoder_depth = 0; });
  check([](mae::Config& c) { c.qkv_bias = c.decoder_norm = c.norm_pix = false; });
  check([](mae::Config& c) {
    c.decoder_embed = false;
    c.decoder_dim = c.dim;
    c.decoder_heads = c.heads;
    c.patch_order = kernels::PatchOrder::channel_row_column;
    c.mask_ratio = 0.4;
  });
}

TEST_CASE("two micro-batches have the gradients of the whole, with all switches on and with none") {
  mae::Config config = small_config();
  config.positions = mae::Positions::learned;
  const Outcome whole = outcome(config, mae::plain_execution());
  check_equal(outcome(config, {}, 2), whole);
  check_equal(outcome(config, mae::plain_execution(), 2), whole);
}

TEST_CASE("in bf16 a few steps with all switches on are close to those of the official order") {
  const mae::Config config = tiny_config();
  const mae::Recipe recipe = tiny_recipe(24, 4);
  const mae::Dataset data = made_up_data(96, config, DType::u8);
  const auto losses = [&](const mae::Execution& execution) {
    kernels::Stream stream(kernels::devices().front());
    mae::Loader loader(data, loader_options(config, recipe));
    mae::Pretraining pretraining(stream, config,
                                 {.recipe = recipe,
                                  .compute = DType::bf16,
                                  .pixels = data.dtype,
                                  .steps_per_epoch = loader.steps_per_epoch(),
                                  .replay = engine::Replay::yes},
                                 execution);
    std::vector<double> all;
    for (int s = 0; s < 6; ++s) all.push_back(pretraining.training().step(loader.get(s)).loss);
    return all;
  };
  CHECK(distance(losses({}), losses(mae::plain_execution())) <= 1e-2);
}

TEST_CASE("a bias whose gradient nobody makes is named") {
  Session session;
  Parameters parameters(DType::f64);
  const Parameter w = parameters.add("w", {4, 4}), b = parameters.add("forgotten.bias", {4});
  parameters.reserve(session.stream, Purpose::training);
  parameters.begin_gradients();
  Tape tape;
  Context context = session.context(&tape);
  const Tensor x = session.variable({3, 4}, normals(12, 1));
  const Tensor y = linear(context, x, w, b, {}, BiasGradient::elsewhere);
  CHECK_THROWS_WITH(tape.backward(context, y), ContainsSubstring("forgotten.bias"));
}
