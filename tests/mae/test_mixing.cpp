#include <array>
#include <cmath>
#include <set>

#include "kernels/core/check.h"
#include "mae/mixing.h"
#include "tests/support/catch.h"

using namespace mae;

namespace {

struct Moments {
  double mean = 0, variance = 0;
};

Moments beta_moments(double alpha, double beta, std::uint32_t n) {
  const kernels::PhiloxKey key{.seed = 5, .purpose = static_cast<std::uint32_t>(kernels::Purpose::test)};
  double sum = 0, squares = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const double x = draw_beta(alpha, beta, {.block = 1, .subindex = 0, .sample = i, .time = 0}, key);
    REQUIRE((x >= 0 && x <= 1));
    sum += x / n, squares += x * x / n;
  }
  return {sum, squares - sum * sum};
}

}  // namespace

TEST_CASE("Beta has its mean and its variance") {
  constexpr std::uint32_t n = 40000;
  for (const auto& [a, b] :
       {std::pair{0.8, 0.8}, std::pair{1.0, 1.0}, std::pair{0.2, 0.2}, std::pair{2.0, 5.0}, std::pair{0.01, 0.01}}) {
    CAPTURE(a, b);
    const Moments m = beta_moments(a, b, n);
    const double mean = a / (a + b), variance = mean * (1 - mean) / (a + b + 1);
    CHECK(m.mean == Approx(mean).margin(4 * std::sqrt(variance / n)));
    CHECK(m.variance == Approx(variance).epsilon(0.02));
  }
}

TEST_CASE("Beta(1, 1) is uniform in all its parts") {
  const kernels::PhiloxKey key{.seed = 6, .purpose = static_cast<std::uint32_t>(kernels::Purpose::test)};
  std::array<int, 10> counts{};
  for (std::uint32_t i = 0; i < 20000; ++i) {
    const double x = draw_beta(1, 1, {.block = 1, .subindex = 0, .sample = i, .time = 0}, key);
    ++counts[static_cast<std::size_t>(x * 10)];
  }
  double chi = 0;  // 9 degrees of freedom: above 27.9 once in a thousand
  for (const int count : counts) chi += std::pow(count - 2000, 2) / 2000;
  CHECK(chi < 27.9);
}

TEST_CASE("half of the groups are mixed whole, half have a box, by lambda") {
  constexpr std::uint32_t n = 20000;
  double mixed = 0, sum = 0, squares = 0, box_share = 0, boxes = 0, top = 0;
  for (std::uint32_t step = 0; step < n; ++step) {
    const Mix mix = draw_mix({}, 3, step, 0, 32, 48);
    REQUIRE((mix.lambda >= 0 && mix.lambda <= 1));
    if (mix.height == 0 && mix.lambda < 1) {
      ++mixed, sum += mix.lambda, squares += mix.lambda * mix.lambda;
    } else if (mix.height > 0) {
      REQUIRE((mix.top >= 0 && mix.left >= 0 && mix.width > 0));
      REQUIRE((mix.top + mix.height <= 32 && mix.left + mix.width <= 48));
      const double share = mix.height * mix.width / (32.0 * 48);
      REQUIRE(mix.lambda == Approx(1 - share).margin(1e-12));
      ++boxes, box_share += share, top += mix.top + mix.height / 2.0;
    }
  }
  CHECK(mixed / n == Approx(0.5).margin(0.015));
  const double mean = sum / mixed;
  CHECK(mean == Approx(0.5).margin(0.012));
  CHECK(squares / mixed - mean * mean == Approx(0.25 / 2.6).epsilon(0.03));  // Beta(0.8, 0.8)
  CHECK(top / boxes == Approx(16).margin(0.4));
  // mean over U(lambda) and U(centre) of what the border leaves of each side, by numpy over 4 million boxes
  CHECK(box_share / boxes == Approx(0.3040).margin(0.01));
}

TEST_CASE("mixing can be one kind, or seldom, or off") {
  int boxes = 0, plain = 0;
  for (std::uint32_t step = 0; step < 2000; ++step) {
    CHECK(draw_mix({.cutmix = 0}, 3, step, 0, 32, 32).height == 0);
    boxes += draw_mix({.mixup = 0}, 3, step, 0, 32, 32).height > 0;
    plain += draw_mix({.probability = 0.25}, 3, step, 0, 32, 32).lambda == 1;
    CHECK(draw_mix({.mixup = 0, .cutmix = 0}, 3, step, 0, 32, 32) == Mix{});
    CHECK(draw_mix({.probability = 0}, 3, step, 0, 32, 32) == Mix{});
  }
  CHECK(boxes > 1950);  // but for those too small for a pixel to each side
  CHECK(plain == Approx(1500).margin(80));
  CHECK_THROWS_WITH(draw_mix({.mixup = -1}, 3, 0, 0, 32, 32), ContainsSubstring("mixup -1"));
  CHECK_THROWS_AS(draw_mix({.switch_probability = 2}, 3, 0, 0, 32, 32), kernels::Error);
}

TEST_CASE("a mix depends on seed, step and group") {
  std::set<double> lambdas;
  const MixOptions mixup{.cutmix = 0};
  for (std::uint32_t group = 0; group < 3; ++group) {
    for (std::uint32_t step = 0; step < 3; ++step) {
      lambdas.insert(draw_mix(mixup, 3, step, group, 32, 32).lambda);
      CHECK(draw_mix(mixup, 3, step, group, 32, 32) == draw_mix(mixup, 3, step, group, 32, 32));
    }
  }
  CHECK(lambdas.size() == 9);
  CHECK(draw_mix(mixup, 4, 0, 0, 32, 32).lambda != draw_mix(mixup, 3, 0, 0, 32, 32).lambda);
}

// Pinned: a change here would silently change every run that is resumed or repeated.
TEST_CASE("mixes and boxes keep their values") {
  CHECK(draw_mix({.cutmix = 0}, 1, 7, 2, 224, 224).lambda == Approx(0.46524633906995527).epsilon(1e-12));
  const Mix box = draw_mix({.mixup = 0}, 1, 7, 2, 224, 160);
  CHECK(std::array{box.top, box.left, box.height, box.width} == std::array{0, 61, 166, 99});
  const EraseBox erased = random_erase(224, 160, {.probability = 1}, {.seed = 1, .sample = 5, .epoch = 2});
  CHECK(std::array{erased.top, erased.left, erased.height, erased.width} == std::array{58, 69, 158, 74});
}

TEST_CASE("erased boxes have the share, area, aspect and places that were asked for") {
  constexpr int n = 40000, height = 200, width = 240;
  double boxes = 0, area = 0, log_aspect = 0, top = 0, left = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const EraseBox box = random_erase(height, width, {}, {.seed = 2, .sample = i, .epoch = 3});
    if (box.height == 0) continue;
    REQUIRE((box.top >= 0 && box.left >= 0));
    REQUIRE((box.top + box.height <= height && box.left + box.width <= width));
    const double share = static_cast<double>(box.height) * box.width / (height * width);
    const double aspect = static_cast<double>(box.height) / box.width;
    REQUIRE((share > 0.0185 && share < 0.336));
    REQUIRE((aspect > 0.29 && aspect < 3.45));
    ++boxes, area += share, log_aspect += std::log(aspect);
    top += static_cast<double>(box.top) / (height - box.height),
        left += static_cast<double>(box.left) / (width - box.width);
  }
  CHECK(boxes / n == Approx(0.25).margin(0.009));
  int none = 0;  // many boxes are too high for a flat image: the next try is taken
  for (std::uint32_t i = 0; i < 2000; ++i)
    none += random_erase(60, 240, {.probability = 1}, {.seed = 2, .sample = i}).height == 0;
  CHECK(none == 0);
  // Means of a million boxes drawn by the same rule with numpy.
  CHECK(area / boxes == Approx(0.1744).margin(0.004));
  CHECK(log_aspect / boxes == Approx(-0.0188).margin(0.03));
  CHECK(top / boxes == Approx(0.5).margin(0.015));
  CHECK(left / boxes == Approx(0.5).margin(0.015));
}

TEST_CASE("an image too small for a box keeps all its pixels") {
  CHECK(random_erase(1, 1, {.probability = 1}, {.seed = 1}) == EraseBox{});
}
