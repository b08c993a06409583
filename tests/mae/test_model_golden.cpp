// labels: golden
// The whole model against PyTorch in float64: latent, prediction, loss, every gradient, three AdamW steps, ten losses.
#include "engine/init.h"
#include "engine/schedule.h"
#include "tests/support/golden_model.h"

using namespace test;

namespace {

constexpr double bound = 1e-9;

std::vector<double> flat(const mae::Model& model, const View& buffer, const std::string& name) {
  auto& parameters = const_cast<mae::Model&>(model).parameters();
  const Parameter p = parameters.at(name);
  return Session::values(parameters.part(buffer, p.index, {p.value().shape.count()}));
}

/// A key bias's gradient is exactly zero in exact arithmetic (softmax ignores a shift), so it is compared absolutely,
/// the rest relatively.
void compare(const std::string& name, std::vector<double> ours, std::vector<double> golden, double size) {
  INFO(name);
  if (name.ends_with("qkv.bias")) {
    const std::size_t third = ours.size() / 3;
    for (std::size_t i = third; i < 2 * third; ++i) {
      CHECK(std::abs(ours[i] - golden[i]) <= size);
      ours[i] = golden[i] = 0;
    }
  }
  CHECK(distance(ours, golden) <= bound);
}

std::vector<double> without_class_row(const std::vector<double>& pred, std::int64_t batch, std::int64_t values) {
  std::vector<double> out;
  const std::size_t sample = pred.size() / static_cast<std::size_t>(batch);
  for (std::size_t b = 0; b < static_cast<std::size_t>(batch); ++b) {
    out.insert(out.end(), pred.begin() + static_cast<std::ptrdiff_t>(b * sample + static_cast<std::size_t>(values)),
               pred.begin() + static_cast<std::ptrdiff_t>((b + 1) * sample));
  }
  return out;
}

}  // namespace

TEST_CASE("forward, loss and every gradient equal PyTorch") {
  const bool all = GENERATE(true, false);  // patches are predicted, or the masked ones alone
  for (const std::string file : {"mae_tiny", "mae_tiny_pixels", "mae_small_recipe"}) {
    INFO(file);
    const Golden golden(file + ".safetensors");
    Session session;
    const GoldenModel g(golden, session);
    const Tensor loss = session.variable({1}, {NAN});
    Tape tape;
    Context context = session.context(&tape);
    Tensor pred;
    CHECK(distance(Session::values(g.latent(context).view), golden.values("latent")) <= bound);
    tape = Tape();
    const Tensor result = g.loss(context, {loss.view, kernels::Write::overwrite}, all ? &pred : nullptr);
    if (all)
      CHECK(distance(without_class_row(Session::values(pred.view), g.batch, g.model.config().patch_values()),
                     golden.values("pred")) <= bound);
    CHECK(distance(Session::values(loss.view), golden.values("loss")) <= bound);
    const_cast<mae::Model&>(g.model).parameters().begin_gradients();
    tape.backward(context, result);
    int compared = 0;
    for (const Segment& segment : g.model.parameters().segments()) {
      if (segment.trainable == Trainable::no) {
        CHECK(!golden.has("grad." + segment.name));
        continue;
      }
      compare(segment.name, flat(g.model, g.model.parameters().gradient(), segment.name),
              golden.values("grad." + segment.name), 1e-12);
      ++compared;
    }
    CHECK(compared > 20);
  }
}

TEST_CASE("three AdamW steps and ten losses equal PyTorch") {
  for (const std::string file : {"mae_tiny", "mae_small_recipe"}) {
    INFO(file);
    const Golden golden(file + ".safetensors");
    Session session;
    GoldenModel g(golden, session);
    const OptimizerOptions options{.beta1 = golden.number("beta1"),
                               .beta2 = golden.number("beta2"),
                               .eps = golden.number("adam_eps"),
                               .weight_decay = golden.number("weight_decay")};
    Workspace workspace(session.stream, session.type);
    TrainStep step(workspace, g.model.parameters(), options, golden.values("lr"), g.program());
    workspace.reserve();
    std::vector<double> losses;
    for (int s = 0; s < 10; ++s) {
      step.start({});
      const StepResult result = step.finish();
      CHECK(result.finite);
      losses.push_back(result.loss);
      if (s != 2) continue;
      for (const Segment& segment : g.model.parameters().segments()) {
        if (segment.trainable == Trainable::yes) {
          compare(segment.name, flat(g.model, g.model.parameters().master(), segment.name),
                  golden.values("adamw3." + segment.name), 1e-6);
        }
      }
    }
    CHECK(distance(losses, golden.values("losses")) <= bound);
    CHECK(step.step() == 10);
  }
}

TEST_CASE("the schedule equals the golden's") {
  const Golden golden("mae_tiny.safetensors");
  const WarmupCosine schedule{.lr = golden.number("peak_lr"),
                              .warmup_epochs = golden.number("warmup_steps"),
                              .epochs = golden.number("total_steps"),
                              .steps_per_epoch = 1};
  CHECK(distance(schedule.table(), golden.values("lr")) <= 1e-14);
  CHECK(schedule.at(0) == 0);
}

TEST_CASE("f32 and bf16 follow f64") {
  const Golden golden("mae_tiny.safetensors");
  const double exact = golden.values("loss")[0];
  for (const auto& [dtype, error] : {std::pair{DType::f32, 1e-5}, std::pair{DType::bf16, 2e-2}}) {
    Session session(dtype);
    const GoldenModel g(golden, session);
    const Tensor loss = session.variable({1}, {NAN}, DType::f32);
    Context context = session.context();
    g.loss(context, {loss.view, kernels::Write::overwrite});
    INFO(kernels::name_of(dtype) << " loss " << Session::get(loss.view, 0) << " against " << exact);
    CHECK(std::abs(Session::get(loss.view, 0) - exact) <= error * exact);
  }
}
