#include "kernels/cases/attention.h"

#include <cmath>

#include "kernels/cpu/simd.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("attention_forward passes the battery") { test::battery<AttentionForward>(); }
TEST_CASE("attention_backward passes the battery") { test::battery<AttentionBackward>(); }

namespace {

// A bench for the reference row in f64, filled with random values.
test::Bench<AttentionForward> forward_bench(const char* shape, DType dtype) {
  return {devices().front(), Case<AttentionForward>::make(Dims(shape), dtype)[1]};
}

}  // namespace

TEST_CASE("attention with equal keys averages the values, and lse is log T more than the score") {
  for (const auto& [row, dtype] : {std::pair("reference", DType::f64), std::pair("fast", DType::f32)}) {
    auto bench = forward_bench("B=1 T=10 H=2 D=4", dtype);
    AttentionForward host = bench.host_args();
    test::fill_random(host.qkv, 1);
    for (std::int64_t t = 1; t < 10; ++t) {
      for (std::int64_t h = 0; h < 2; ++h) {  // rows of qkv are (t, part, h)
        for (std::int64_t d = 0; d < 4; ++d) test::set(host.qkv, (t * 3 + 1) * 2 + h, d, test::get(host.qkv, 2 + h, d));
      }
    }
    bench.upload();
    bench.run(row);
    bench.download();
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t t = 0; t < 10; ++t) {
        double score = 0;
        for (std::int64_t d = 0; d < 4; ++d) {
          double average = 0;
          for (std::int64_t u = 0; u < 10; ++u) average += test::get(host.qkv, (u * 3 + 2) * 2 + h, d) / 10;
          CHECK(test::get(host.out, t * 2 + h, d) == Approx(average).margin(1e-6));
          score += 0.5 * test::get(host.qkv, t * 6 + h, d) * test::get(host.qkv, 2 + h, d);
        }
        CHECK(test::get(host.lse, h, t) == Approx(score + std::log(10.0)).margin(1e-5));
      }
    }
  }
}

TEST_CASE("attention stays finite with scores far from zero") {
  for (double shift : {-300.0, 300.0}) {
    auto exact = forward_bench("B=1 T=50 H=1 D=1", DType::f64), fast = forward_bench("B=1 T=50 H=1 D=1", DType::f32);
    AttentionForward host = exact.host_args();
    test::fill_random(host.qkv, 1);
    for (std::int64_t t = 0; t < 50; ++t) {  // q = 1, k = shift + noise: every score is near the shift
      test::set(host.qkv, t * 3, 0, 1);
      test::set(host.qkv, t * 3 + 1, 0, shift + test::get(host.qkv, t * 3 + 1, 0));
    }
    test::copy_values(host.qkv, fast.host_args().qkv);
    test::copy_values(fast.host_args().qkv, host.qkv);
    exact.upload(), fast.upload();
    exact.run("reference"), fast.run("fast");
    exact.download(), fast.download();
    CHECK(test::relative_error(fast.host_args().out, host.out) < 1e-5);
    CHECK(test::relative_error(fast.host_args().lse, host.lse) < 1e-6);
  }
}

TEST_CASE("attention's backward agrees with finite differences of its forward") {
  auto backward = test::Bench<AttentionBackward>(devices().front(),
                                                 Case<AttentionBackward>::make(Dims("B=1 T=6 H=2 D=3"), DType::f64)[0]);
  test::Bench<AttentionBackward> unused(devices().front(), backward.args());
  test::make_inputs(backward, unused);
  backward.upload();
  backward.run("reference");
  backward.download();
  const AttentionBackward host = backward.host_args();

  auto forward = forward_bench("B=1 T=6 H=2 D=3", DType::f64);
  const auto loss = [&](std::int64_t r, std::int64_t c, double step) {  // sum of out * dout
    const AttentionForward f = forward.host_args();
    test::copy_values(host.qkv, f.qkv);
    test::set(f.qkv, r, c, test::get(f.qkv, r, c) + step);
    forward.upload();
    forward.run("reference");
    forward.download();
    double sum = 0;
    for (std::int64_t i = 0; i < f.out.rows(); ++i) {
      for (std::int64_t d = 0; d < 3; ++d) sum += test::get(f.out, i, d) * test::get(host.dout, i, d);
    }
    return sum;
  };
  const double h = 1e-3;
  for (std::int64_t r = 0; r < host.qkv.rows(); ++r) {
    for (std::int64_t c = 0; c < 3; ++c) {
      const double slope = (8 * (loss(r, c, h) - loss(r, c, -h)) - (loss(r, c, 2 * h) - loss(r, c, -2 * h))) / (12 * h);
      CHECK(test::get(host.dqkv, r, c) == Approx(slope).epsilon(1e-7).margin(1e-9));
    }
  }
}

TEST_CASE("attention refuses what is not packed") {
  AttentionForward wrong = Case<AttentionForward>::make(Dims("B=2 T=5 H=3 D=8"), DType::f32)[1];
  wrong.qkv.shape.dims[2] = 2;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("(B, T, 3, H, D)"));
  AttentionBackward lost = Case<AttentionBackward>::make(Dims("B=2 T=5 H=3 D=8"), DType::f32)[0];
  lost.lse = View{};
  CHECK_THROWS_WITH(validate(lost), ContainsSubstring("needs the lse"));
}

TEST_CASE("exp_approx is within 2e-7 of exp, relative, and never denormal or infinite") {
  double worst = 0;
  for (double x = -87; x <= 88; x += 0.00037) {
    const auto f = static_cast<float>(x);
    worst = std::max(worst, std::abs(cpu::exp_approx(f) / std::exp(static_cast<double>(f)) - 1));
  }
  CHECK(worst < 2e-7);
  CHECK(cpu::exp_approx(0.0f) == 1.0f);
  CHECK(std::isnormal(cpu::exp_approx(-1e30f)));
  CHECK(std::isfinite(cpu::exp_approx(1e30f)));
  CHECK(std::isnan(cpu::exp_approx(NAN)));
}
