#include "kernels/cases/cross_entropy.h"

#include <cmath>

#include "tests/support/battery.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("softmax_cross_entropy passes the battery") { test::battery<SoftmaxCrossEntropy>(); }
TEST_CASE("sigmoid_cross_entropy passes the battery") { test::battery<SigmoidCrossEntropy>(); }

namespace {

using Values = std::vector<double>;
using Labels = std::vector<std::int32_t>;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

Values normal_values(std::int64_t count, std::uint32_t stream, double deviation = 1) {
  Values v(size(count));
  test::fill_random(view_of(v.data(), DType::f64, {count}), stream, 0, deviation);
  return v;
}

/// One batch of softmax cross entropy in f64, and its loss and gradient by the CPU.
struct Batch {
  std::int64_t B, K;
  Values z;
  Labels labels;
  Values lambda, class_weight{};
  double smoothing = 0, factor = 1, loss = 0;
  Values dz = Values(z.size());

  SoftmaxCrossEntropy args() {
    return {.logits = view_of(z.data(), DType::f64, {B, K}),
            .labels = view_of(labels.data(), DType::i32, {B, 2}),
            .lambda = view_of(lambda.data(), DType::f64, {B}),
            .class_weight = class_weight.empty() ? View{} : view_of(class_weight.data(), DType::f64, {K}),
            .loss = view_of(&loss, DType::f64, {1}),
            .dlogits = view_of(dz.data(), DType::f64, {B, K}),
            .smoothing = smoothing,
            .factor = factor};
  }
  void run() {
    Values scratch(size(B));
    Stream stream(devices().front());
    stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
    launch(stream, args());
  }
};

/// timm's mixup target, written out: of sample b, as a list of K numbers.
Values soft_target(const Batch& a, std::int64_t b) {
  const double off = a.smoothing / double(a.K), on = 1 - a.smoothing + off;
  Values p(size(a.K), off), q = p;
  p[size(a.labels[size(2 * b)])] = on;
  q[size(a.labels[size(2 * b + 1)])] = on;
  for (std::size_t k = 0; k < p.size(); ++k) p[k] = a.lambda[size(b)] * p[k] + (1 - a.lambda[size(b)]) * q[k];
  return p;
}

/// -sum of target * log_softmax, as PyTorch's, and its gradient: softmax * (sum of target) - target.
double expected_loss(const Batch& a, std::int64_t b, const Values& target, Values& gradient) {
  double most = -INFINITY, sum = 0, loss = 0, mass = 0;
  const double* z = &a.z[size(b * a.K)];
  for (std::int64_t k = 0; k < a.K; ++k) most = std::max(most, z[k]);
  for (std::int64_t k = 0; k < a.K; ++k) sum += std::exp(z[k] - most), mass += target[size(k)];
  for (std::int64_t k = 0; k < a.K; ++k) loss -= target[size(k)] * (z[k] - most - std::log(sum));
  gradient.resize(size(a.K));
  for (std::int64_t k = 0; k < a.K; ++k) gradient[size(k)] = mass * std::exp(z[k] - most) / sum - target[size(k)];
  return loss;
}

struct Sizes {
  std::int64_t B, K;
};

}  // namespace

TEST_CASE("cross entropy is PyTorch's of timm's soft targets, with weights") {
  for (const auto& [B, K] : {Sizes{4, 2}, Sizes{5, 10}, Sizes{3, 1000}, Sizes{2, 1234}}) {
    Batch a{.B = B, .K = K, .z = normal_values(B * K, 1, 3), .labels = Labels(size(2 * B)), .lambda = Values(size(B))};
    a.smoothing = 0.1, a.factor = 1 / double(B);
    a.class_weight = normal_values(K, 2);
    for (double& w : a.class_weight) w = std::abs(w);
    for (std::int64_t b = 0; b < B; ++b) {
      a.labels[size(2 * b)] = std::int32_t((17 * b + 1) % K), a.labels[size(2 * b + 1)] = std::int32_t((5 * b + 1) % K);
      a.lambda[size(b)] = 0.2 + 0.19 * double(b);
    }
    a.run();
    double loss = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      Values gradient;
      const double lambda = a.lambda[size(b)], alone = expected_loss(a, b, soft_target(a, b), gradient);
      const double weight = lambda * a.class_weight[size(a.labels[size(2 * b)])] +
                            (1 - lambda) * a.class_weight[size(a.labels[size(2 * b + 1)])];
      loss += a.factor * weight * alone;
      for (std::int64_t k = 0; k < K; ++k)
        CHECK(a.dz[size(b * K + k)] == Approx(a.factor * weight * gradient[size(k)]).epsilon(1e-10).margin(1e-15));
    }
    CHECK(a.loss == Approx(loss).epsilon(1e-12));
  }
}

TEST_CASE("with equal logits the gradient is 1 / K less the soft target: off = .1 / K, on = .9 + .1 / K") {
  const std::int64_t K = 1000;
  Batch a{.B = 2, .K = K, .z = Values(size(2 * K), 0.5), .labels = {3, 7, 3, 7}, .lambda = {1, 0.25}};
  a.smoothing = 0.1;
  a.run();
  const auto target = [&](std::int64_t b, std::int64_t k) { return 1 / double(K) - a.dz[size(b * K + k)]; };
  CHECK(target(0, 3) == Approx(0.9001).epsilon(1e-12));
  CHECK(target(0, 7) == Approx(0.0001).epsilon(1e-9));
  CHECK(target(1, 3) == Approx(0.25 * 0.9001 + 0.75 * 0.0001).epsilon(1e-12));
  CHECK(target(1, 7) == Approx(0.75 * 0.9001 + 0.25 * 0.0001).epsilon(1e-12));
  CHECK(target(1, 0) == Approx(0.0001).epsilon(1e-9));
  CHECK(a.loss == Approx(2 * std::log(1000)).epsilon(1e-12));
}

TEST_CASE("a sample without a label counts for nothing; a second label without a share is not looked at") {
  Batch a{.B = 3, .K = 5, .z = normal_values(15, 4), .labels = {2, -1, -1, 3, 4, 999}, .lambda = {1, 0.5, 1}};
  a.class_weight = {1, 2, 3, 4, 5};
  a.dz.assign(15, 9.0);
  a.run();
  Batch alone{.B = 2, .K = 5, .z = a.z, .labels = {2, 0, 4, 0}, .lambda = {1, 1}, .class_weight = a.class_weight};
  alone.z.erase(alone.z.begin() + 5, alone.z.begin() + 10);
  alone.dz.resize(10);
  alone.run();
  CHECK(a.loss == alone.loss);
  for (std::size_t k = 0; k < 5; ++k) {
    CHECK(a.dz[k] == alone.dz[k]);
    CHECK(a.dz[5 + k] == 0);
    CHECK(a.dz[10 + k] == alone.dz[5 + k]);
  }
}

namespace {

/// A batch whose logits are as far as +-1e4, in every row of every device here: loss and gradient in f64.
template <class Args, class F>
void each_extreme(const char* shape, DType dtype, F check) {
  const Args args = Case<Args>::make(Dims(shape), dtype)[0];
  for (const Device& device : devices()) {
    for (const auto& row : rows_of<Args>(device.kind)) {
      test::Bench<Args> exact(devices().front(), test::with_dtype_f64(args)), bench(device, args);
      if (row.refuses && row.refuses(device, bench.args())) continue;
      test::make_inputs(exact, bench);
      const View logits = bench.operand(0).host_view();
      for (std::int64_t b = 0; b < logits.rows(); ++b) {
        for (std::int64_t k = 0; k < logits.cols(); ++k) test::set(logits, b, k, (b + k) % 2 ? 1e4 : -1e4);
      }
      bench.upload();
      bench.run(row.name);
      bench.download();
      INFO(device.name << " " << row.name << " " << name_of(dtype));
      check(bench);
    }
  }
}

}  // namespace

TEST_CASE("logits of +-1e4 give finite losses and gradients, and the right ones") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    each_extreme<SoftmaxCrossEntropy>("B=1 K=3", dtype, [](auto& bench) {  // label 1 of logits -1e4, 1e4, -1e4
      CHECK(test::get(bench.operand(3).host_view(), 0, 0) == Approx(0).margin(1e-6));
    });
    each_extreme<SigmoidCrossEntropy>("B=1 K=3", dtype, [](auto& bench) {  // targets 1, 0, 0
      const double most = test::get(bench.operand(0).host_view(), 0, 1);   // 1e4, or near it in bf16
      CHECK(test::get(bench.operand(2).host_view(), 0, 0) == Approx(2 * most / 3).epsilon(1e-6));
      CHECK(test::get(bench.operand(3).host_view(), 0, 0) == Approx(-1.0 / 3).epsilon(4e-3));
      CHECK(test::get(bench.operand(3).host_view(), 0, 1) == Approx(1.0 / 3).epsilon(4e-3));
      CHECK(test::get(bench.operand(3).host_view(), 0, 2) == 0);
    });
    const auto finite = [](auto& bench) {
      for (std::size_t i = 0; i < bench.count(); ++i) {
        if (bench.role(i) == Role::input) continue;
        const View v = bench.operand(i).host_view();
        for (std::int64_t r = 0; r < v.rows(); ++r) {
          for (std::int64_t c = 0; c < v.cols(); ++c) CHECK(std::isfinite(test::get(v, r, c)));
        }
      }
    };
    each_extreme<SoftmaxCrossEntropy>("B=7 K=40", dtype, finite);
    each_extreme<SigmoidCrossEntropy>("B=7 K=40", dtype, finite);
  }
}

TEST_CASE("binary cross entropy is PyTorch's with logits, and missing targets count for nothing") {
  const std::int64_t B = 6, K = 40;
  Values z = normal_values(B * K, 5, 4), dz(z.size(), 9.0), weight = normal_values(K, 6), scratch(size(B));
  Labels targets(z.size());
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = std::int32_t(i * 7 % 5 % 3) - 1;
  double loss = 2, expected = 2;
  Stream stream(devices().front());
  stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
  launch(stream, SigmoidCrossEntropy{.logits = view_of(z.data(), DType::f64, {B, K}),
                                     .targets = view_of(targets.data(), DType::i32, {B, K}),
                                     .weight = view_of(weight.data(), DType::f64, {K}),
                                     .loss = view_of(&loss, DType::f64, {1}),
                                     .dlogits = view_of(dz.data(), DType::f64, {B, K}),
                                     .factor = 0.01,
                                     .mode = Write::accumulate});
  int missing = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double p = 1 / (1 + std::exp(-z[i])), w = weight[i % size(K)], t = targets[i];
    if (t < 0) ++missing;
    else expected -= 0.01 * w * (t * std::log(p) + (1 - t) * std::log(1 - p));
    CHECK(dz[i] == Approx(t < 0 ? 0 : 0.01 * w * (p - t)).epsilon(1e-10));
  }
  CHECK(missing > 20);
  CHECK(loss == Approx(expected).epsilon(1e-10));
}

TEST_CASE("cross entropies have the same bits with any number of threads") {
  const Dims sizes("B=13 K=100");
  for (const char* row : {"fast", "reference"})
    test::check_threads(Case<SoftmaxCrossEntropy>::make(sizes, DType::f32)[2], row);
  test::check_threads(Case<SigmoidCrossEntropy>::make(sizes, DType::f32)[1], "reference");
}

TEST_CASE("cross entropies refuse what does not fit") {
  const SoftmaxCrossEntropy good = Case<SoftmaxCrossEntropy>::make(Dims("B=2 K=3"), DType::f32)[2];
  CHECK_NOTHROW(validate(good));
  SoftmaxCrossEntropy a = good;
  a.smoothing = 1.5;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("softmax_cross_entropy") && ContainsSubstring("from 0 to 1"));
  a = good;
  a.lambda.dtype = DType::f32;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("lambda must be f64"));
  a = good;
  a.labels = shaped(DType::i32, {2, 1});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("labels must be i32 (B, 2)"));
  SigmoidCrossEntropy b = Case<SigmoidCrossEntropy>::make(Dims("B=2 K=3"), DType::bf16)[0];
  CHECK_NOTHROW(validate(b));
  b.loss.dtype = DType::bf16;
  CHECK_THROWS_WITH(validate(b), ContainsSubstring("loss must be (1)"));
}
