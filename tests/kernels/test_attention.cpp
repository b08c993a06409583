#include "kernels/cases/attention.h"

#include <cmath>

#include "kernels/cpu/simd.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("attention_forward passes the battery") { test::battery<AttentionForward>(); }

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
    for (const View& v : {host.q, host.k, host.v}) test::fill_random(v, 1);
    for (std::int64_t t = 1; t < 10; ++t) {
      for (std::int64_t c = 0; c < 8; ++c) test::set(host.k, t, c, test::get(host.k, 0, c));
    }
    bench.upload();
    bench.run(row);
    bench.download();
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t t = 0; t < 10; ++t) {
        double score = 0;
        for (std::int64_t c = 4 * h; c < 4 * h + 4; ++c) {
          double average = 0;
          for (std::int64_t u = 0; u < 10; ++u) average += test::get(host.v, u, c) / 10;
          CHECK(test::get(host.out, t, c) == Approx(average).margin(1e-6));
          score += 0.5 * test::get(host.q, t, c) * test::get(host.k, 0, c);
        }
        CHECK(test::get(host.lse, h, t) == Approx(score + std::log(10.0)).margin(1e-5));
      }
    }
  }
}

TEST_CASE("attention stays finite with scores far from zero") {
  for (double shift : {-300.0, 300.0}) {
    auto exact = forward_bench("B=1 T=50 H=1 D=1", DType::f64), fast = forward_bench("B=1 T=50 H=1 D=1", DType::f32);
    AttentionForward host = exact.host_args(), narrow = fast.host_args();
    test::fill_random(host.k, 1);
    test::fill_random(host.v, 2);
    for (std::int64_t t = 0; t < 50; ++t) {  // q = 1, k = shift + noise: every score is near the shift
      test::set(host.q, t, 0, 1);
      test::set(host.k, t, 0, shift + test::get(host.k, t, 0));
    }
    for (const auto& [wide, rounded] :
         {std::pair(host.q, narrow.q), std::pair(host.k, narrow.k), std::pair(host.v, narrow.v)}) {
      test::copy_values(wide, rounded);
      test::copy_values(rounded, wide);
    }
    exact.upload(), fast.upload();
    exact.run("reference"), fast.run("fast");
    exact.download(), fast.download();
    CHECK(test::relative_error(fast.host_args().out, host.out) < 1e-5);
    CHECK(test::relative_error(fast.host_args().lse, host.lse) < 1e-6);
  }
}

namespace {

// Every score is near the shift: column 0 of q is 1, that of k is the shift. The others are random; all is rounded to
// bf16.
template <class Args>
void fill_shifted(test::Bench<Args>& exact, test::Bench<Args>& narrow, double shift) {
  for (std::size_t i = 0; i < exact.count(); ++i)
    test::fill_random(exact.operand(i).host_view(), static_cast<std::uint32_t>(i + 1));
  Args host = exact.host_args();
  host.scale = exact.args().scale = narrow.args().scale = 1;
  for (std::int64_t t = 0; t < host.q.rows(); ++t) test::set(host.q, t, 0, 1);
  for (std::int64_t t = 0; t < host.k.rows(); ++t) test::set(host.k, t, 0, shift);
  if constexpr (requires(Args & a) { Case<Args>::fill(a); }) Case<Args>::fill(host);
  for (std::size_t i = 0; i < exact.count(); ++i) {
    test::copy_values(exact.operand(i).host_view(), narrow.operand(i).host_view());
    test::copy_values(narrow.operand(i).host_view(), exact.operand(i).host_view());
  }
}

// f(what the reference makes of such inputs, the same of one row), for each row on a GPU or simt that has bf16.
template <class Args, class F>
void each_row_shifted(double shift, F f) {
  const char* shape = "B=1 T=70 Tq=67 H=1 D=16";
  test::Bench<Args> exact(devices().front(), Case<Args>::make(Dims(shape), DType::f64)[1]);
  for (const Device& device : devices()) {
    if (device.kind == DeviceKind::cpu) continue;
    for (const Variant<Args>& row : rows_of<Args>(device.kind)) {
      INFO(Args::kernel << "=" << row.name << " on " << device.name << " shift " << shift);
      test::Bench<Args> narrow(device, Case<Args>::make(Dims(shape), DType::bf16)[1]);
      fill_shifted(exact, narrow, shift);
      if (row.refuses(device, narrow.args())) continue;
      exact.upload(), narrow.upload();
      exact.run("reference"), narrow.run(row.name);
      exact.download(), narrow.download();
      f(exact.host_args(), narrow.host_args());
    }
  }
}

}  // namespace

TEST_CASE("attention in bf16 is right on GPUs and simt with scores far from zero") {
  const double shift = GENERATE(-300.0, 300.0);
  each_row_shifted<AttentionForward>(shift, [](const AttentionForward& exact, const AttentionForward& narrow) {
    CHECK(test::relative_error(narrow.out, exact.out) < 5e-3);
    // `short` adds up probabilities as the product with v sees them, in bf16: off by up to 2^-9, of scores near 300
    CHECK(test::relative_error(narrow.lse, exact.lse) < 1e-5);
  });
  each_row_shifted<AttentionBackward>(shift, [](const AttentionBackward& exact, const AttentionBackward& narrow) {
    CHECK(test::relative_error(narrow.dk, exact.dk) < 5e-3);
    CHECK(test::relative_error(narrow.dv, exact.dv) < 5e-3);
    // dq's column 0 is the shift times a sum of slopes that is zero but for their rounding: no digit of it is right.
    for (std::int64_t t = 0; t < narrow.dq.rows(); ++t) test::set(narrow.dq, t, 0, test::get(exact.dq, t, 0));
    CHECK(test::relative_error(narrow.dq, exact.dq) < 5e-3);
  });
}

TEST_CASE("attention_forward=short walks over heads where shared memory has room for two") {
  for (Device device : devices()) {
    if (device.kind == DeviceKind::cpu) continue;
    device.multiprocessors = 1;  // so that blocks are few
    if (device.kind == DeviceKind::simt) device.shared_memory = std::size_t{227} << 10;
    for (const char* shape : {"B=2 T=197 H=4 D=32", "B=3 T=197 Tq=147 H=3 D=32", "B=2 T=257 H=3 D=32",
                              "B=4 T=65 H=2 D=80", "B=4 T=50 H=3 D=48 PAD=8", "B=3 T=20 Tq=33 H=5 D=16"}) {
      const AttentionForward args = Case<AttentionForward>::make(Dims(shape), DType::bf16)[1];
      test::Expected<AttentionForward> expected(args);
      test::RowReport report;
      INFO(shape << " on " << device.name);
      test::check_row(device, args, choose(device, args, "short"), 0, expected, report);
      CHECK(report.runs > 0);
      CHECK(report.warps < static_cast<unsigned>(Dims(shape)["B"] * Dims(shape)["H"]) * 2);  // a block has 3 or more
    }
  }
}

TEST_CASE("attention's backward agrees with finite differences of its forward") {
  const char* shape = GENERATE("B=1 T=6 H=2 D=3", "B=1 T=6 Tq=4 H=2 D=3");
  auto backward =
      test::Bench<AttentionBackward>(devices().front(), Case<AttentionBackward>::make(Dims(shape), DType::f64)[0]);
  test::Bench<AttentionBackward> unused(devices().front(), backward.args());
  test::make_inputs(backward, unused);
  backward.upload();
  backward.run("reference");
  backward.download();
  const AttentionBackward host = backward.host_args();

  auto forward = forward_bench(shape, DType::f64);
  const AttentionForward f = forward.host_args();
  const auto loss = [&](const View& x, std::int64_t r, std::int64_t c, double step) {  // sum of out * dout
    for (const auto& [from, to] : {std::pair(host.q, f.q), std::pair(host.k, f.k), std::pair(host.v, f.v)})
      test::copy_values(from, to);
    test::set(x, r, c, test::get(x, r, c) + step);
    forward.upload();
    forward.run("reference");
    forward.download();
    double sum = 0;
    for (std::int64_t i = 0; i < f.out.rows(); ++i) {
      for (std::int64_t d = 0; d < f.out.cols(); ++d) sum += test::get(f.out, i, d) * test::get(host.dout, i, d);
    }
    return sum;
  };
  const double h = 1e-3;
  for (const auto& [x, dx] : {std::pair(f.q, host.dq), std::pair(f.k, host.dk), std::pair(f.v, host.dv)}) {
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      for (std::int64_t c = 0; c < x.cols(); ++c) {
        const double slope =
            (8 * (loss(x, r, c, h) - loss(x, r, c, -h)) - (loss(x, r, c, 2 * h) - loss(x, r, c, -2 * h))) / (12 * h);
        CHECK(test::get(dx, r, c) == Approx(slope).epsilon(1e-7).margin(1e-9));
      }
    }
  }
}

TEST_CASE("the keys' part of dbias is the zero that dk sums to") {
  test::Bench<AttentionBackward> bench(devices().front(),
                                       Case<AttentionBackward>::make(Dims("B=2 T=9 Tq=7 H=2 D=5"), DType::f64)[1]);
  bench.args().bias_mode = Write::overwrite;
  test::Bench<AttentionBackward> unused(devices().front(), bench.args());
  test::make_inputs(bench, unused);
  bench.upload();
  bench.run("reference");
  bench.download();
  const AttentionBackward host = bench.host_args();
  for (std::int64_t c = 0; c < 10; ++c) {
    double sum = 0;
    for (std::int64_t r = 0; r < host.dk.rows(); ++r) sum += test::get(host.dk, r, c);
    CHECK(sum == Approx(0).margin(1e-14));
    CHECK(test::get(host.dbias, 1, c) == 0);
  }
}

TEST_CASE("attention refuses what does not fit") {
  AttentionForward wrong = Case<AttentionForward>::make(Dims("B=2 T=5 H=3 D=8"), DType::f32)[1];
  wrong.heads = 5;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("the heads must divide C"));
  AttentionBackward lost = Case<AttentionBackward>::make(Dims("B=2 T=5 H=3 D=8"), DType::f32)[0];
  lost.lse = View{};
  CHECK_THROWS_WITH(validate(lost), ContainsSubstring("needs the lse"));
}

TEST_CASE("attention's row for few tokens says what it does not take") {
  if constexpr (!with_simt) return;
  const Device simt = find_device("simt");
  const auto reason = [&]<class Args>(const char* shape, DType dtype, std::int64_t row_stride = 0) {
    Args a = Case<Args>::make(Dims(shape), dtype)[0];
    if (row_stride) a.q.row_stride = row_stride;
    try {
      choose(simt, a, "short");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("taken");
  };
  const auto forward = [&](auto... args) { return reason.operator()<AttentionForward>(args...); };
  const auto backward = [&](auto... args) { return reason.operator()<AttentionBackward>(args...); };
  CHECK(forward("B=1 T=264 H=1 D=32", DType::bf16) == "taken");
  CHECK_THAT(forward("B=1 T=265 H=1 D=32", DType::bf16), ContainsSubstring("up to 264 tokens"));
  CHECK_THAT(forward("B=1 T=50 H=1 D=32", DType::f32), ContainsSubstring("this row has bf16"));
  CHECK_THAT(forward("B=1 T=50 H=1 D=40", DType::bf16), ContainsSubstring("heads of 16, 32, 48, 64 and 80 elements"));
  CHECK_THAT(forward("B=1 T=50 H=1 D=32", DType::bf16, 36), ContainsSubstring("moves 16 bytes at once"));
  for (const char* shape : {"B=64 T=50 H=12 D=64", "B=64 T=65 H=16 D=80", "B=64 T=197 H=16 D=32",
                            "B=64 T=257 H=16 D=32", "B=64 T=197 Tq=147 H=16 D=32", "B=64 T=197 H=12 D=64"}) {
    CHECK(forward(shape, DType::bf16) == "taken");
    CHECK(backward(shape, DType::bf16) == "taken");
  }
  CHECK_THAT(backward("B=1 T=81 H=1 D=80", DType::bf16), ContainsSubstring("up to 80 tokens"));
  CHECK_THAT(backward("B=1 T=209 H=1 D=64", DType::bf16), ContainsSubstring("up to 208 tokens"));
  CHECK_THAT(backward("B=1 T=289 H=1 D=32", DType::bf16), ContainsSubstring("up to 288 tokens"));
  CHECK_THAT(backward("B=1 T=16 Tq=999 H=1 D=64", DType::bf16), ContainsSubstring("exceed a block's shared memory"));
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
