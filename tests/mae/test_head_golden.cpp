// labels: golden
// The linear probe's head, averages of weights, and the loss of many answers, against PyTorch in float64.
#include "engine/init.h"
#include "engine/step.h"
#include "kernels/moving_average.h"
#include "tests/support/golden.h"

using namespace test;

namespace {

std::vector<double> slice(const std::vector<double>& v, std::size_t i, std::size_t size) {
  const auto first = v.begin() + static_cast<std::ptrdiff_t>(i * size);
  return {first, first + static_cast<std::ptrdiff_t>(size)};
}

/// Batch norm without affine, then a linear layer, on 4 rows a step.
class ProbeHead {
 public:
  ProbeHead(const Golden& golden, Session& session)
      : golden_(golden), session_(session), parameters(session.type), statistics(session.type) {
    weight_ = parameters.add("head.1.weight", golden.shape("weight"));
    bias_ = parameters.add("head.1.bias", golden.shape("bias"));
    mean_ = statistics.add("head.0.running_mean", {7}, Trainable::no);
    var_ = statistics.add("head.0.running_var", {7}, Trainable::no);
    parameters.reserve(session.stream, Purpose::training);
    statistics.reserve(session.stream, Purpose::inference);
    assign(session.stream, weight_, golden.values("weight"));
    assign(session.stream, bias_, golden.values("bias"));
    assign(session.stream, var_, std::vector<double>(7, 1));
    next_ = session.variable({2, 7}, std::vector<double>(14, NAN));
    lambda_ = session.variable({4}, {1, 1, 1, 1});
    for (std::size_t s = 0; s < 3; ++s) {
      rows_.push_back(session.variable({4, 7}, slice(golden.values("features"), s, 28)));
      rows_.back().gradient = nullptr;  // of a frozen encoder
      std::vector<double> pairs;
      for (const double label : slice(golden.values("labels"), s, 4)) pairs.insert(pairs.end(), {label, -1});
      labels_.push_back(session.variable({4, 2}, pairs, DType::i32));
    }
  }

  Tensor logits(Context& c, const Tensor& x, kernels::BatchNormMode mode) const {
    const bool training = mode == kernels::BatchNormMode::training;
    const BatchNormState state{.running_mean = mean_.value(),
                               .running_var = var_.value(),
                               .next_mean = training ? next_mean() : View{},
                               .next_var = training ? next_var() : View{}};
    const Tensor normed = batchnorm(c, x, state, golden_.number("bn_eps"), golden_.number("bn_momentum"), mode);
    return linear(c, normed, weight_, bias_);
  }
  Program program() const {
    return [this](Context& c, const LossSlot& slot, int s) {
      const auto at = static_cast<std::size_t>(s);
      cross_entropy(c, logits(c, rows_[at], kernels::BatchNormMode::training),
                    {.labels = labels_[at].view, .lambda = lambda_.view}, slot.loss, 0.25, slot.mode);
    };
  }
  AfterUpdate commit() const {
    return [this](kernels::Stream& stream, const UpdateState& state) {
      launch(stream,
             kernels::MovingAverage{.x = next_mean(), .finite = state.finite, .average = mean_.value(), .decay = 0});
      launch(stream,
             kernels::MovingAverage{.x = next_var(), .finite = state.finite, .average = var_.value(), .decay = 0});
    };
  }
  std::vector<double> all_logits() const {
    const Tensor all = session_.variable({12, 7}, golden_.values("features"));
    Context context = session_.context();
    return Session::values(logits(context, all, kernels::BatchNormMode::evaluation).view);
  }
  std::vector<double> of(const View& flat, const std::string& name) {
    const Parameter p = parameters.at(name);
    return Session::values(parameters.part(flat, p.index, {p.value().shape.count()}));
  }
  std::vector<double> running(const std::string& name) {
    return Session::values(statistics.at("head.0.running_" + name).value());
  }

 private:
  View next_mean() const { return kernels::view_of(next_.view.data, DType::f64, {7}); }
  View next_var() const { return kernels::view_of(next_.view.as<double>() + 7, DType::f64, {7}); }

  const Golden& golden_;
  Session& session_;

 public:
  Parameters parameters, statistics;

 private:
  Parameter weight_, bias_, mean_, var_;
  Tensor next_, lambda_;
  std::vector<Tensor> rows_, labels_;
};

}  // namespace

TEST_CASE("three steps of the linear probe, by LARS and by SGD, equal PyTorch") {
  const Golden golden("probe_official.safetensors");
  for (const std::string name : {"lars", "sgd"}) {
    INFO(name);
    Session session;
    ProbeHead head(golden, session);
    const OptimizerOptions options{.kind = Optimizer::momentum,
                                   .momentum = golden.number("momentum"),
                                   .trust = name == "lars" ? golden.number("trust") : 0,
                                   .weight_decay = golden.number("weight_decay")};
    Workspace workspace(session.stream, session.type);
    TrainStep step(workspace, head.parameters, options, golden.values(name + ".lr"), head.program(), Replay::yes,
                   head.commit());
    workspace.reserve();
    std::vector<double> losses;
    for (std::size_t s = 0; s < 3; ++s) {
      step.start({}, static_cast<int>(s));
      losses.push_back(step.finish().loss);
      CHECK(distance(head.running("mean"), slice(golden.values("running_mean"), s, 7)) <= 1e-9);
      CHECK(distance(head.running("var"), slice(golden.values("running_var"), s, 7)) <= 1e-9);
      const View master = head.parameters.master();
      CHECK(distance(head.of(master, "head.1.weight"), slice(golden.values(name + ".weight"), s, 28)) <= 1e-9);
      CHECK(distance(head.of(master, "head.1.bias"), slice(golden.values(name + ".bias"), s, 4)) <= 1e-9);
    }
    CHECK(distance(losses, golden.values(name + ".losses")) <= 1e-9);
    const View moment = head.parameters.moment1();
    CHECK(distance(head.of(moment, "head.1.weight"), golden.values(name + ".momentum.weight")) <= 1e-9);
    CHECK(distance(head.of(moment, "head.1.bias"), golden.values(name + ".momentum.bias")) <= 1e-9);
    CHECK(distance(head.all_logits(), golden.values(name + ".logits")) <= 1e-9);
  }
}

TEST_CASE("an average of weights equals the golden's") {
  const Golden golden("ema.safetensors");
  const std::vector<double> values = golden.values("values"), expected = golden.values("average"),
                            decays = golden.values("decay");
  Session session;
  const Tensor finite = session.variable({1}, {1}, DType::i32);
  for (std::size_t d = 0; d < decays.size(); ++d) {
    const Tensor average = session.variable({7}, slice(values, 0, 7));
    for (std::size_t s = 0; s < 5; ++s) {
      const Tensor x = session.variable({7}, slice(values, s, 7));
      launch(session.stream,
             kernels::MovingAverage{.x = x.view, .finite = finite.view, .average = average.view, .decay = decays[d]});
      CHECK(distance(Session::values(average.view), slice(expected, 5 * d + s, 7)) <= 1e-12);
    }
  }
}

TEST_CASE("the loss of many answers, some of them missing, equals PyTorch") {
  const Golden golden("bce.safetensors");
  Session session;
  const Tensor logits = session.variable(golden.shape("logits"), golden.values("logits")),
               targets = session.variable(golden.shape("targets"), golden.values("targets"), DType::i32),
               loss = session.variable({1}, {NAN});
  Tape tape;
  Context context = session.context(&tape);
  const Tensor result = binary_cross_entropy(context, logits, {.targets = targets.view}, loss.view, 1.0 / (5 * 4),
                                             kernels::Write::overwrite);
  tape.backward(context, result);
  CHECK(distance(Session::values(loss.view), golden.values("loss")) <= 1e-12);
  CHECK(distance(Session::values(logits.gradient->view), golden.values("dlogits")) <= 1e-12);
}
