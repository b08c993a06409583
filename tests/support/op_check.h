// The gradient check of one op: y = op(inputs), L = sum of y * dy for a fixed random dy.
#pragma once

#include "engine/parameters.h"
#include "tests/support/session.h"

namespace test {

using Op = std::function<Tensor(Context&, const std::vector<Tensor>&)>;

/// Names and shapes of parameters, drawn N(0, 1) around `mean`.
struct NamedShape {
  std::string name;
  Shape shape;
  double mean = 0;
};

class OpCheck {
 public:
  OpCheck() : parameters_(DType::f64) {}

  Parameter parameter(const NamedShape& p) {
    means_.push_back(p.mean);
    return parameters_.add(p.name, p.shape);
  }

  /// Runs forward, backward and the check, with differences of `step`. Call once, after the parameters are declared.
  void run(const std::vector<Shape>& input_shapes, const Op& op, double step = 1e-3) {
    if (!parameters_.segments().empty()) parameters_.reserve(session_.stream, Purpose::training);
    for (std::size_t i = 0; i < parameters_.segments().size(); ++i) {
      const Shape& shape = parameters_.segments()[i].shape;
      const std::vector<double> draw = normals(shape.count(), static_cast<std::uint32_t>(100 + i));
      const View value = parameters_.part(parameters_.master(), static_cast<int>(i), {shape.count()});
      for (std::size_t k = 0; k < draw.size(); ++k) Session::set(value, k, means_[i] + draw[k]);
    }
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < input_shapes.size(); ++i) {
      inputs.push_back(
          session_.variable(input_shapes[i], normals(input_shapes[i].count(), static_cast<std::uint32_t>(1 + i))));
    }
    const std::size_t used_before = session_.arena.used();
    std::vector<double> dy;
    {
      Tape tape;
      Context context = session_.context(&tape);
      const Tensor y = op(context, inputs);
      dy = normals(y.shape().count(), 77);
      const GradientTarget seed = gradient_target(context, y);
      for (std::size_t i = 0; i < dy.size(); ++i) Session::set(seed.view, i, dy[i]);
      parameters_.begin_gradients();
      tape.unwind(context);
      CHECK(tape.empty());
    }
    std::vector<Variable> variables;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      INFO("input " << i << " got no gradient");
      REQUIRE(*inputs[i].gradient);
      variables.push_back({"input " + std::to_string(i), inputs[i].view, Session::values(inputs[i].gradient->view)});
      *inputs[i].gradient = {};
    }
    CHECK(session_.arena.used() == used_before);  // all that was saved has been given back
    for (std::size_t i = 0; i < parameters_.segments().size(); ++i) {
      const Shape flat{parameters_.segments()[i].shape.count()};
      variables.push_back({parameters_.segments()[i].name,
                           parameters_.part(parameters_.master(), static_cast<int>(i), flat),
                           Session::values(parameters_.part(parameters_.gradient(), static_cast<int>(i), flat))});
    }
    const auto f = [&] {
      Context context = session_.context();
      const Tensor y = op(context, inputs);
      double sum = 0;
      for (std::size_t i = 0; i < dy.size(); ++i) sum += Session::get(y.view, i) * dy[i];
      return sum;
    };
    check_gradients(f, variables, step);
  }

  Session& session() { return session_; }

 private:
  Session session_;
  Parameters parameters_;
  std::vector<double> means_;
};

}  // namespace test
