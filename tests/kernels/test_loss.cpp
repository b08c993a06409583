#include "kernels/cases/loss.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("masked_mse_forward passes the battery") { test::battery<MaskedMseForward>(); }
TEST_CASE("masked_mse_backward passes the battery") { test::battery<MaskedMseBackward>(); }

namespace {

using Values = std::vector<double>;

/// Both directions in f64 on B samples of L patches of P values, `keep` of them not masked.
struct Loss {
  std::int64_t B, L, P;
  int keep;
  PixelTarget pixels;
  double scale = 1, loss = 0;
  Write mode = Write::overwrite;
  Values pred, target, mean, rstd, dpred;
  std::vector<std::int32_t> rank;

  Loss(std::int64_t B_, std::int64_t L_, std::int64_t P_, int keep_, PixelTarget pixels_)
      : B(B_), L(L_), P(P_), keep(keep_), pixels(pixels_) {
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    pred.resize(size(B * (1 + L) * P));
    target.resize(size(B * L * P));
    mean.resize(size(B * L));
    rstd.resize(size(B * L));
    dpred.assign(pred.size(), 99.0);
    rank.resize(size(B * L));
    test::fill_random(view_of(pred.data(), DType::f64, {B, 1 + L, P}), 1);
    test::fill_random(view_of(target.data(), DType::f64, {B, L, P}), 2, 0.4, 0.7);
    fill_permutations(ranks(), {}, L);
  }
  View ranks(std::int64_t first = 0, std::int64_t samples = 0) {
    return view_of(rank.data() + first * L, DType::i32, {samples ? samples : B, L});
  }
  View of(Values& v, std::int64_t T, std::int64_t first, std::int64_t samples) {  // (samples, T, P)
    return view_of(v.data() + first * T * P, DType::f64, {samples, T, P});
  }
  View saved(Values& v, std::int64_t first, std::int64_t samples) {  // (samples, L), null for raw pixels
    return pixels == PixelTarget::raw ? View{} : view_of(v.data() + first * L, DType::f64, {samples, L});
  }
  double forward(std::int64_t first = 0, std::int64_t samples = 0) {
    const std::int64_t n = samples ? samples : B;
    Stream stream(devices().front());
    Values scratch(static_cast<std::size_t>(n));
    stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
    launch(stream, MaskedMseForward{.pred = of(pred, 1 + L, first, n),
                                    .target = of(target, L, first, n),
                                    .rank = ranks(first, n),
                                    .loss = view_of(&loss, DType::f64, {1}),
                                    .mean = saved(mean, first, n),
                                    .rstd = saved(rstd, first, n),
                                    .keep = keep,
                                    .scale = scale,
                                    .pixels = pixels,
                                    .mode = mode});
    return loss;
  }
  void backward() {
    Stream stream(devices().front());
    launch(stream, MaskedMseBackward{.pred = of(pred, 1 + L, 0, B),
                                     .target = of(target, L, 0, B),
                                     .rank = ranks(),
                                     .mean = saved(mean, 0, B),
                                     .rstd = saved(rstd, 0, B),
                                     .dpred = of(dpred, 1 + L, 0, B),
                                     .keep = keep,
                                     .scale = scale});
  }
};

}  // namespace

TEST_CASE("the loss of three patches of two values, by hand") {
  Loss raw(1, 3, 2, 1, PixelTarget::raw);
  raw.rank = {2, 0, 1};  // patch 1 is kept
  raw.pred = {50, 60, 1, 2, 70, 80, 3, 5};
  raw.target = {0, 4, 11, 12, 1, 2};
  raw.scale = 0.25;
  CHECK(raw.forward() == 0.25 * (1 + 4 + 4 + 9));
  raw.backward();
  CHECK(raw.dpred == Values{0, 0, 0.5, -1, 0, 0, 1, 1.5});

  Loss normalized = raw;
  normalized.pixels = PixelTarget::normalized;
  // patch 0 = (0, 4): mean 2, unbiased variance 8; patch 2 = (1, 2): 1.5, 0.5; both become -+ sqrt(1/2), but for eps
  const double t = std::sqrt(0.5),
               error = (1 + t) * (1 + t) + (2 - t) * (2 - t) + (3 + t) * (3 + t) + (5 - t) * (5 - t);
  CHECK(normalized.forward() == Approx(0.25 * error).epsilon(1e-5));
  CHECK(normalized.mean == Values{2, 11.5, 1.5});
  CHECK(normalized.rstd[0] == 1 / std::sqrt(8 + 1e-6));
  CHECK(normalized.rstd[2] == 1 / std::sqrt(0.5 + 1e-6));
}

TEST_CASE("a patch of one colour gives finite values") {
  Loss a(1, 2, 4, 0, PixelTarget::normalized);
  a.target = {0.7, 0.7, 0.7, 0.7, 1, 2, 3, 4};
  a.pred = {9, 9, 9, 9, 1, 2, 3, 4, 0, 0, 0, 0};
  CHECK(a.forward() == Approx(1 + 4 + 9 + 16 + 3).epsilon(1e-5));  // its target is 0; of a normalised patch P - 1
  a.backward();
  CHECK_FALSE(test::any_nan(view_of(a.dpred.data(), DType::f64, {3, 4})));
  CHECK(a.dpred[4] == Approx(2.0));
  CHECK(a.rstd[0] == Approx(1e3));
}

TEST_CASE("class token and kept patches have no part in the loss and no gradient") {
  for (PixelTarget pixels : {PixelTarget::raw, PixelTarget::normalized}) {
    Loss a(3, 8, 5, 3, pixels);
    const double before = a.forward();
    a.backward();
    const auto masked = [&](std::int64_t b, std::int64_t t) {
      return t > 0 && a.rank[static_cast<std::size_t>(b * a.L + t - 1)] >= a.keep;
    };
    int zeros = 0, others = 0;
    for (std::int64_t b = 0; b < a.B; ++b) {
      for (std::int64_t i = 0; i < (1 + a.L) * a.P; ++i) {
        const auto at = static_cast<std::size_t>(b * (1 + a.L) * a.P + i);
        if (masked(b, i / a.P)) {
          others += a.dpred[at] != 0;
        } else {
          zeros += a.dpred[at] == 0;
          a.pred[at] += 1000;
        }
      }
    }
    CHECK(zeros == a.B * (1 + a.keep) * a.P);
    CHECK(others == a.B * (a.L - a.keep) * a.P);
    CHECK(a.forward() == before);
  }
}

TEST_CASE("dpred is the slope of the loss") {
  for (PixelTarget pixels : {PixelTarget::raw, PixelTarget::normalized}) {
    Loss a(2, 4, 3, 1, pixels);
    a.scale = 1.0 / 18;
    a.forward();
    a.backward();
    const Values dpred = a.dpred;
    double worst = 0;
    for (std::size_t i = 0; i < a.pred.size(); ++i) {
      const double x = a.pred[i], h = 1e-3;
      a.pred[i] = x + h;
      const double up = a.forward();
      a.pred[i] = x - h;
      const double slope = (up - a.forward()) / (2 * h);
      a.pred[i] = x;
      worst = std::max(worst, std::abs(slope - dpred[i]));  // the loss is quadratic: exact but for rounding
    }
    CHECK(worst < 1e-11);
  }
}

TEST_CASE("two halves of a batch add up to the whole") {
  Loss whole(4, 8, 6, 2, PixelTarget::normalized);
  whole.scale = 1.0 / (4 * 6 * 6);
  Loss halves = whole;
  whole.forward();
  halves.forward(0, 2);
  const double first = halves.loss;
  halves.mode = Write::accumulate;
  halves.forward(2, 2);
  CHECK(first < 0.9 * whole.loss);
  CHECK(halves.loss == Approx(whole.loss).epsilon(1e-14));
  CHECK(halves.mean == whole.mean);
  CHECK(halves.rstd == whole.rstd);
}

TEST_CASE("the loss refuses what does not fit") {
  auto raw = Case<MaskedMseForward>::make(Dims("B=2 L=4 P=9"), DType::f32)[0];
  CHECK_NOTHROW(validate(raw));
  for (int keep : {-1, 5}) {
    raw.keep = keep;
    CHECK_THROWS_WITH(validate(raw), ContainsSubstring("keep must be from 0 to L"));
  }
  raw.keep = 1;
  raw.pixels = PixelTarget::normalized;
  CHECK_THROWS_WITH(validate(raw), ContainsSubstring("must be given for normalized pixels"));
  const auto single = Case<MaskedMseForward>::make(Dims("B=2 L=4 P=1"), DType::f32);
  CHECK_NOTHROW(validate(single[0]));
  CHECK_THROWS_WITH(validate(single[1]), ContainsSubstring("has no variance"));
}
