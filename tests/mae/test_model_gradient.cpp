// labels: slow
// The whole tiny model against finite differences in f64: the loss, with respect to every trained parameter.
#include "engine/init.h"
#include "tests/support/golden_model.h"

using namespace test;

TEST_CASE("every gradient of the whole model equals finite differences") {
  for (const std::string file : {"mae_tiny", "mae_small_recipe"}) {
    INFO(file);
    const Golden golden(file + ".safetensors");
    Session session;
    GoldenModel g(golden, session);
    const Tensor loss = session.variable({1}, {NAN});
    const LossSlot slot{loss.view, kernels::Write::overwrite};
    Parameters& parameters = g.model.parameters();
    {
      Tape tape;
      Context taped = session.context(&tape);
      parameters.begin_gradients();
      tape.backward(taped, g.loss(taped, slot));
    }
    std::vector<Variable> variables;
    for (std::size_t i = 0; i < parameters.segments().size(); ++i) {
      const Segment& segment = parameters.segments()[i];
      if (segment.trainable == Trainable::no) continue;
      const Shape flat{segment.shape.count()};
      const int index = static_cast<int>(i);
      variables.push_back({segment.name, parameters.part(parameters.master(), index, flat),
                           Session::values(parameters.part(parameters.gradient(), index, flat))});
    }
    CHECK(variables.size() > 20);
    Context plain = session.context();
    // h = 1e-3 leaves 4e-7 of truncation in a few entries of these deliberately sharp models; it falls with h^4
    const auto f = [&] {
      g.loss(plain, slot);
      return Session::get(loss.view, 0);
    };
    check_gradients(f, variables, 2e-4);
  }
}

TEST_CASE("gradients in f32 and bf16 follow f64") {
  const Golden golden("mae_tiny.safetensors");
  for (const auto& [dtype, bound] : {std::pair{DType::f32, 1e-5}, std::pair{DType::bf16, 5e-2}}) {
    Session session(dtype);
    GoldenModel g(golden, session);
    const Tensor loss = session.variable({1}, {NAN}, DType::f32);
    Parameters& parameters = g.model.parameters();
    Tape tape;
    Context taped = session.context(&tape);
    parameters.begin_gradients();
    tape.backward(taped, g.loss(taped, {loss.view, kernels::Write::overwrite}));
    std::vector<double> ours, exact;  // one vector over all parameters
    for (const Segment& segment : parameters.segments()) {
      if (segment.trainable == Trainable::no) continue;
      const auto some = Session::values(parameters.at(segment.name).gradient({segment.shape.count()}));
      const auto same = golden.values("grad." + segment.name);
      ours.insert(ours.end(), some.begin(), some.end());
      exact.insert(exact.end(), same.begin(), same.end());
    }
    INFO(kernels::name_of(dtype));
    CHECK(distance(ours, exact) <= bound);
  }
}
