// labels: golden
// Ops against PyTorch in float64 (tests/golden/ops.safetensors), to 1e-9 a tensor.
#include "kernels/optimizer.h"
#include "tests/support/golden.h"
#include "tests/support/op_check.h"

using namespace test;

namespace {

constexpr double bound = 1e-9;

/// Runs an op on a tape with the golden's dy and leaves gradients in the inputs and parameters.
Tensor run(Session& session, Parameters& parameters, const std::vector<double>& dy,
           const std::function<Tensor(Context&)>& op) {
  Tape tape;
  Context context = session.context(&tape);
  const Tensor y = op(context);
  const GradientTarget seed = gradient_target(context, y);
  for (std::size_t i = 0; i < dy.size(); ++i) Session::set(seed.view, i, dy[i]);
  parameters.begin_gradients();
  tape.unwind(context);
  return y;
}

void load(Parameters& parameters, const Golden& golden, const std::string& name, const std::string& key) {
  const std::vector<double> values = golden.values(key);
  const View view =
      parameters.part(parameters.master(), parameters.at(name).index, {static_cast<std::int64_t>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) Session::set(view, i, values[i]);
}

std::vector<double> gradient(Parameters& parameters, const std::string& name) {
  const Parameter p = parameters.at(name);
  return Session::values(p.gradient({p.value().shape.count()}));
}

}  // namespace

TEST_CASE("layernorm equals PyTorch") {
  const Golden golden("ops.safetensors");
  Session session;
  Parameters parameters(DType::f64);
  const Parameter gamma = parameters.add("gamma", {7}), beta = parameters.add("beta", {7});
  parameters.reserve(session.stream, Purpose::training);
  load(parameters, golden, "gamma", "layernorm.gamma");
  load(parameters, golden, "beta", "layernorm.beta");
  const Tensor x = session.variable({5, 7}, golden.values("layernorm.x"));
  const Tensor y = run(session, parameters, golden.values("layernorm.dy"),
                       [&](Context& c) { return layernorm(c, x, gamma, beta, golden.number("layernorm.eps")); });
  CHECK(distance(Session::values(y.view), golden.values("layernorm.y")) <= bound);
  CHECK(distance(Session::values(x.gradient->view), golden.values("layernorm.dx")) <= bound);
  CHECK(distance(gradient(parameters, "gamma"), golden.values("layernorm.dgamma")) <= bound);
  CHECK(distance(gradient(parameters, "beta"), golden.values("layernorm.dbeta")) <= bound);
}

TEST_CASE("linear equals PyTorch") {
  const Golden golden("ops.safetensors");
  Session session;
  Parameters parameters(DType::f64);
  const Parameter w = parameters.add("w", {3, 7}), b = parameters.add("b", {3});
  parameters.reserve(session.stream, Purpose::training);
  load(parameters, golden, "w", "linear.w");
  load(parameters, golden, "b", "linear.b");
  const Tensor x = session.variable({5, 7}, golden.values("linear.x"));
  const Tensor y = run(session, parameters, golden.values("linear.dy"), [&](Context& c) { return linear(c, x, w, b); });
  CHECK(distance(Session::values(y.view), golden.values("linear.y")) <= bound);
  CHECK(distance(Session::values(x.gradient->view), golden.values("linear.dx")) <= bound);
  CHECK(distance(gradient(parameters, "w"), golden.values("linear.dw")) <= bound);
  CHECK(distance(gradient(parameters, "b"), golden.values("linear.db")) <= bound);
}

TEST_CASE("gelu equals PyTorch, far into both tails") {
  const Golden golden("ops.safetensors");
  Session session;
  Parameters none(DType::f64);
  const Tensor x = session.variable({1, 37}, golden.values("gelu.x"));
  const Tensor y = run(session, none, golden.values("gelu.dy"), [&](Context& c) { return gelu(c, x); });
  CHECK(distance(Session::values(y.view), golden.values("gelu.y")) <= bound);
  CHECK(distance(Session::values(x.gradient->view), golden.values("gelu.dx")) <= bound);
}

TEST_CASE("attention equals PyTorch") {
  const Golden golden("ops.safetensors");
  Session session;
  Parameters none(DType::f64);
  const Tensor qkv = session.variable({2, 5, 24}, golden.values("attention.qkv"));
  const Tensor out =
      run(session, none, golden.values("attention.dout"), [&](Context& c) { return attention(c, qkv, 2); });
  CHECK(distance(Session::values(out.view), golden.values("attention.out")) <= bound);
  CHECK(distance(Session::values(qkv.gradient->view), golden.values("attention.dqkv")) <= bound);
}

TEST_CASE("masked mse equals PyTorch") {
  const Golden golden("ops.safetensors");
  for (const std::string kind : {"norm_pix_mse", "pixel_mse"}) {
    Session session;
    Parameters none(DType::f64);
    const Tensor rank = session.variable({2, 7}, golden.values("mse.rank"), DType::i32);
    const Masking masking{rank, rank};
    const auto keep = static_cast<std::int64_t>(golden.values("mse.keep")[0]);
    std::vector<double> pred;  // the class token's row in front of each sample, which must not matter
    for (std::size_t b = 0; b < 2; ++b) {
      pred.insert(pred.end(), 12, 1e6);
      const auto all = golden.values("mse.pred");
      pred.insert(pred.end(), all.begin() + static_cast<std::ptrdiff_t>(b * 84),
                  all.begin() + static_cast<std::ptrdiff_t>((b + 1) * 84));
    }
    const Tensor prediction = session.variable({2, 8, 12}, pred),
                 target = session.variable({2, 7, 12}, golden.values("mse.target"));
    const Tensor loss = session.variable({1}, {NAN});
    const MseOptions options{
        .keep = keep,
        .scale = 1.0 / static_cast<double>(2 * (7 - keep) * 12),
        .pixels = kind == "pixel_mse" ? kernels::PixelTarget::raw : kernels::PixelTarget::normalized};
    run(session, none, {1.0},
        [&](Context& c) { return masked_mse(c, prediction, target, masking, loss.view, options); });
    CHECK(distance(Session::values(loss.view), golden.values(kind + ".loss")) <= bound);
    std::vector<double> dpred;
    const auto all = Session::values(prediction.gradient->view);
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t i = 0; i < 12; ++i) CHECK(all[b * 96 + i] == 0);
      dpred.insert(dpred.end(), all.begin() + static_cast<std::ptrdiff_t>(b * 96 + 12),
                   all.begin() + static_cast<std::ptrdiff_t>((b + 1) * 96));
    }
    CHECK(distance(dpred, golden.values(kind + ".dpred")) <= bound);
  }
}

TEST_CASE("five AdamW steps equal PyTorch") {
  const Golden golden("ops.safetensors");
  Session session;
  const auto p0 = golden.values("adamw.p0"), grads = golden.values("adamw.grads"), lrs = golden.values("adamw.lrs");
  const auto n = static_cast<std::int64_t>(p0.size());
  std::vector<double> schedule;
  const double b1 = golden.number("adamw.beta1"), b2 = golden.number("adamw.beta2");
  for (std::size_t s = 0; s < lrs.size(); ++s) {
    const double t = static_cast<double>(s + 1);
    schedule.insert(schedule.end(), {lrs[s], 1 - std::pow(b1, t), 1 - std::pow(b2, t)});
  }
  const std::vector<double> zeros(p0.size(), 0);
  const Tensor p = session.variable({n}, p0), m = session.variable({n}, zeros), v = session.variable({n}, zeros);
  const Tensor table = session.variable({5, 3}, schedule), clip = session.variable({1}, {1}),
               finite = session.variable({1}, {1}, DType::i32);
  const Tensor bounds = session.variable({2}, {0, static_cast<double>(n)}, DType::u32),
               one = session.variable({1}, {1});
  const Tensor decay = session.variable({1}, {golden.number("adamw.weight_decay")});
  for (std::size_t s = 0; s < 5; ++s) {
    const Tensor g = session.variable({n}, {grads.begin() + static_cast<std::ptrdiff_t>(s) * n,
                                            grads.begin() + static_cast<std::ptrdiff_t>(s + 1) * n});
    const Tensor step = session.variable({1}, {static_cast<double>(s)}, DType::u32);
    launch(session.stream, kernels::AdamW{.gradient = g.view,
                                          .schedule = table.view,
                                          .step = step.view,
                                          .finite = finite.view,
                                          .clip = clip.view,
                                          .bounds = bounds.view,
                                          .lr_scale = one.view,
                                          .weight_decay = decay.view,
                                          .master = p.view,
                                          .moment1 = m.view,
                                          .moment2 = v.view,
                                          .beta1 = b1,
                                          .beta2 = b2,
                                          .eps = golden.number("adamw.eps")});
  }
  CHECK(distance(Session::values(p.view), golden.values("adamw.p5")) <= bound);
  CHECK(distance(Session::values(m.view), golden.values("adamw.m5")) <= bound);
  CHECK(distance(Session::values(v.view), golden.values("adamw.v5")) <= bound);
}
