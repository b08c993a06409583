#include "mae/probe.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "mae/lbfgs.h"
#include "mae/softmax_regression.h"
#include "tests/support/catch.h"

using namespace mae;

namespace {

double draw(std::uint32_t stream, std::int64_t element) {  // uniform in [-1, 1)
  const kernels::PhiloxKey key{stream, static_cast<std::uint32_t>(kernels::Purpose::test)};
  return 2 * kernels::uniform(kernels::philox_word(static_cast<std::uint32_t>(element), {}, key)) - 1;
}

/// Noise of width 12 around class centres `spread` away from each other; `stream` makes the samples, not the centres.
Features clusters(std::int64_t count, std::int32_t classes, double spread, std::uint32_t stream) {
  Features f{.count = count, .width = 12};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(i % classes);
    f.labels.push_back(label);
    for (std::int64_t j = 0; j < f.width; ++j) {
      f.values.push_back(static_cast<float>(spread * draw(1, label * f.width + j) + draw(stream, i * f.width + j)));
    }
  }
  return f;
}

/// Samples in the order of `order`.
Features reordered(const Features& f, const std::vector<std::int64_t>& order) {
  Features out{.count = f.count, .width = f.width};
  for (std::int64_t i : order) {
    out.values.insert(out.values.end(), f.values.begin() + i * f.width, f.values.begin() + (i + 1) * f.width);
    out.labels.push_back(f.labels[static_cast<std::size_t>(i)]);
  }
  return out;
}

std::map<std::int32_t, std::int64_t> counts_of(const std::vector<std::int32_t>& labels,
                                               const std::vector<std::int64_t>& chosen) {
  std::map<std::int32_t, std::int64_t> counts;
  for (std::int64_t i : chosen) ++counts[labels[static_cast<std::size_t>(i)]];
  return counts;
}

}  // namespace

TEST_CASE("the probe separates what planes can separate, and knows what it did") {
  const auto result = linear_probe(clusters(400, 5, 20, 2), clusters(250, 5, 20, 3), {});
  CHECK(result.top1 == 100);
  CHECK(result.train_top1 == 100);
  CHECK(result.labels == 400);
  CHECK(result.classes == 5);
  CHECK(result.iterations > 0);
}

TEST_CASE("the probe finds nothing where there is nothing") {
  const auto result = linear_probe(clusters(1500, 4, 0, 4), clusters(2000, 4, 0, 5), {});
  CHECK(std::abs(result.top1 - 25) < 5);  // five standard deviations
  CHECK(result.penalty >= 300);           // held-out labels ask for the strongest penalties
}

TEST_CASE("overlapping classes: about as good as the best planes, on test as on training samples") {
  // two classes, mean +-0.4 along the diagonal, uniform noise: the best plane is at 0
  const auto make = [](std::int64_t count, std::uint32_t stream) {
    Features f{.count = count, .width = 2};
    for (std::int64_t i = 0; i < count; ++i) {
      f.labels.push_back(static_cast<std::int32_t>(i % 2));
      for (std::int64_t j = 0; j < 2; ++j) {
        f.values.push_back(static_cast<float>((i % 2 ? 0.4 : -0.4) + draw(stream, 2 * i + j)));
      }
    }
    return f;
  };
  const auto result = linear_probe(make(4000, 6), make(4000, 7), {});
  // the sum of two uniform draws on [-1, 1) exceeds 0.8 with probability (2 - 0.8)^2 / 8
  CHECK(std::abs(result.top1 - 82) < 2);
  CHECK(std::abs(result.train_top1 - 82) < 2);
}

TEST_CASE("scaling features by powers of two changes nothing, and constant features count for nothing") {
  const Features train = clusters(300, 3, 0.4, 8), test = clusters(300, 3, 0.4, 9);
  const auto plain = linear_probe(train, test, {.labels = 90, .seed = 3});
  REQUIRE(plain.top1 < 99);
  const auto scaled = [](Features f) {
    for (std::size_t i = 0; i < f.values.size(); ++i) {
      f.values[i] = std::ldexp(f.values[i], static_cast<int>(i % static_cast<std::size_t>(f.width)) * 5 - 30);
    }
    return f;
  };
  const auto again = linear_probe(scaled(train), scaled(test), {.labels = 90, .seed = 3});
  CHECK(again.top1 == plain.top1);
  CHECK(again.loss == plain.loss);
  CHECK(again.penalty == plain.penalty);

  const auto widened = [](const Features& f, bool test_part) {  // one more feature, constant in the training split only
    Features out{.count = f.count, .width = f.width + 1, .labels = f.labels};
    for (std::int64_t i = 0; i < f.count; ++i) {
      out.values.insert(out.values.end(), f.values.begin() + i * f.width, f.values.begin() + (i + 1) * f.width);
      out.values.push_back(test_part ? static_cast<float>(100 * draw(10, i)) : 0.3f);
    }
    return out;
  };
  CHECK(std::abs(linear_probe(widened(train, false), widened(test, true), {.labels = 90, .seed = 3}).top1 -
                 plain.top1) < 1);
}

TEST_CASE("the order of the samples does not matter beyond rounding") {
  const Features train = clusters(600, 3, 0.5, 11), test = clusters(600, 3, 0.5, 12);
  std::vector<std::int64_t> backwards;
  for (std::int64_t i = 600; i-- > 0;) backwards.push_back(i);
  const auto a = linear_probe(train, test, {.penalty = 10});
  const auto b = linear_probe(reordered(train, backwards), reordered(test, backwards), {.penalty = 10});
  REQUIRE(a.top1 < 99);
  CHECK(std::abs(a.top1 - b.top1) < 0.5);
  CHECK(a.loss == Approx(b.loss).epsilon(1e-3));
}

TEST_CASE("two runs of the probe give the same bits; another seed chooses other samples") {
  const Features train = clusters(600, 3, 0.5, 13), test = clusters(600, 3, 0.5, 14);
  const auto a = linear_probe(train, test, {.labels = 60, .seed = 1});
  const auto b = linear_probe(train, test, {.labels = 60, .seed = 1});
  const auto c = linear_probe(train, test, {.labels = 60, .seed = 2});
  CHECK(a.loss == b.loss);
  CHECK(a.top1 == b.top1);
  CHECK(a.loss != c.loss);
  CHECK(a.labels == 60);
}

TEST_CASE("labels are chosen class by class, the same for the same seed, small choices inside large ones") {
  std::vector<std::int32_t> labels;  // 4 classes of 100, 200, 300, 400 samples
  for (std::int32_t k = 0; k < 4; ++k) labels.insert(labels.end(), static_cast<std::size_t>(100 * (k + 1)), k);
  const auto chosen = choose_labels(labels, 202, 5);
  REQUIRE(chosen.size() == 202);
  CHECK(std::set<std::int64_t>(chosen.begin(), chosen.end()).size() == 202);
  for (const auto& [label, count] : counts_of(labels, chosen)) CHECK((count == 50 || count == 51));
  CHECK(chosen == choose_labels(labels, 202, 5));
  CHECK(chosen != choose_labels(labels, 202, 6));

  const auto small = choose_labels(labels, 40, 5);
  const std::set<std::int64_t> large(chosen.begin(), chosen.end());
  CHECK(std::all_of(small.begin(), small.end(), [&](std::int64_t i) { return large.count(i) == 1; }));

  const auto most = counts_of(labels, choose_labels(labels, 700, 5));  // the smallest class is used up
  CHECK(most == std::map<std::int32_t, std::int64_t>{{0, 100}, {1, 200}, {2, 200}, {3, 200}});
  const auto all = choose_labels(labels, 0, 5);
  REQUIRE(all.size() == 1000);
  for (const auto& [label, count] : counts_of(labels, {all.end() - 200, all.end()})) {
    CHECK(std::abs(count - 20 * (label + 1)) <= 1);  // any range has the shares of the whole
  }
}

TEST_CASE("the gradient of softmax regression is that of finite differences") {
  constexpr std::int64_t count = 9000, width = 5, classes = 3;  // several blocks in every share, none of them full
  std::vector<double> x(count * width), parameters(classes * (width + 1)), gradient(parameters.size());
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = draw(15, static_cast<std::int64_t>(i));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = 2 * draw(16, static_cast<std::int64_t>(i));
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i * i % classes));
  const auto view = kernels::view_of(x.data(), kernels::DType::f64, {count, width});
  const auto value = [&](const std::vector<double>& at) {
    std::vector<double> unused(at.size());
    return softmax_regression(view, labels, 100, at, unused);
  };
  const double loss = softmax_regression(view, labels, 100, parameters, gradient);

  double by_hand = 0;  // the formula of the header
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<double> z(classes);
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      z[k] = parameters[classes * width + k];
      for (std::size_t j = 0; j < width; ++j)
        z[k] += parameters[k * width + j] * x[static_cast<std::size_t>(i) * width + j];
      sum += std::exp(z[k]);
    }
    by_hand -= z[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])] - std::log(sum);
  }
  for (std::size_t i = 0; i < classes * width; ++i) by_hand += 50 * parameters[i] * parameters[i];
  CHECK(loss == Approx(by_hand / count).epsilon(1e-12));

  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const double h = 1e-3;
    const auto at = [&](double change) {
      auto moved = parameters;
      moved[i] += change;
      return value(moved);
    };
    const double numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    CHECK(std::abs(gradient[i] - numeric) <= 1e-9);
  }

  std::vector<float> narrow(x.begin(), x.end());
  std::vector<double> narrow_gradient(gradient.size());
  const auto narrow_view = kernels::view_of(narrow.data(), kernels::DType::f32, {count, width});
  CHECK(softmax_regression(narrow_view, labels, 100, parameters, narrow_gradient) == Approx(loss).epsilon(1e-5));
  for (std::size_t i = 0; i < gradient.size(); ++i) CHECK(std::abs(narrow_gradient[i] - gradient[i]) <= 1e-5);
}

TEST_CASE("L-BFGS reaches known minima") {
  const Differentiable rosenbrock = [](std::span<const double> x, std::span<double> g) {
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
  };
  const auto found = lbfgs(rosenbrock, {-1.2, 1.0}, 500, 1e-12);
  CHECK(found.converged);
  CHECK(found.x[0] == Approx(1).epsilon(1e-4));
  CHECK(found.x[1] == Approx(1).epsilon(1e-4));
  const auto stopped = lbfgs(rosenbrock, {-1.2, 1.0}, 3, 1e-12);
  CHECK_FALSE(stopped.converged);
  CHECK(stopped.iterations == 3);
}

TEST_CASE("the probe refuses what it cannot answer") {
  const Features good = clusters(60, 3, 1, 17);
  const auto refused = [&](const char* words, auto change, const ProbeOptions& options = {}) {
    Features train = good, test = good;
    change(train, test);
    CHECK_THROWS_WITH(linear_probe(train, test, options), ContainsSubstring(words));
  };
  const auto nothing = [](Features&, Features&) {};
  refused("count elements", [](Features& train, Features&) { train.values.pop_back(); });
  refused("count elements", [](Features&, Features& test) { test.labels.pop_back(); });
  refused("as wide", [](Features&, Features& test) { test.width = 6, test.count = 120, test.labels.resize(120); });
  refused("not finite", [](Features& train, Features&) { train.values[70] = NAN; });
  refused("no label", [](Features&, Features& test) { test.labels[5] = -1; });
  refused("does not have", [](Features&, Features& test) { test.labels[5] = 3; });
  refused("only one class", [](Features& train, Features&) { std::fill(train.labels.begin(), train.labels.end(), 0); });
  refused("2 labels", nothing, {.labels = 2});
  refused("61 labels", nothing, {.labels = 61});
  CHECK_NOTHROW(linear_probe(good, good, {.labels = 3}));
  CHECK_NOTHROW(linear_probe(good, good, {.labels = 60}));
}
