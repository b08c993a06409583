#include "apps/chart.h"

#include <cmath>
#include <limits>
#include <random>

#include "kernels/core/check.h"
#include "tests/support/catch.h"

using namespace apps;

namespace {

const double none = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

Colour at(const Canvas& canvas, Point p) { return pixel(canvas, int(std::floor(p.x)), int(std::floor(p.y))); }

/// value = 1, 2 or 5 times a power of ten
bool is_round(double value) {
  const double mantissa = value / std::pow(10.0, std::floor(std::log10(value) + 1e-9));
  return std::abs(mantissa - 1) < 1e-6 || std::abs(mantissa - 2) < 1e-6 || std::abs(mantissa - 5) < 1e-6;
}

/// Pixels of one colour over the plot, where the legend stands.
std::size_t in_legend(const Chart& chart, Colour colour) {
  const Canvas canvas = draw(chart);
  const int bottom = frame_of(chart, canvas.width, canvas.height).top;
  std::size_t n = 0;
  for (int y = 0; y < bottom; ++y)
    for (int x = 0; x < canvas.width; ++x) n += pixel(canvas, x, y) == colour;
  return n;
}

}  // namespace

TEST_CASE("linear ticks are round, evenly spaced, inside, and neither few nor many") {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> power(-12, 12), unit(-1, 1);
  for (int trial = 0; trial < 3000; ++trial) {
    const double span = std::pow(10, power(random)), low = unit(random) * span * 3, high = low + span;
    const int at_most = 3 + trial % 10;
    const auto ticks = linear_ticks(low, high, at_most);
    INFO(low << " to " << high << " at most " << at_most);
    REQUIRE(int(ticks.size()) <= at_most);
    REQUIRE(int(ticks.size()) >= std::max(1, at_most * 2 / 5 - 1));
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      REQUIRE((ticks[i] >= low - 1e-6 * span && ticks[i] <= high + 1e-6 * span));
      if (i == 0) continue;
      const double step = ticks[1] - ticks[0];
      REQUIRE(is_round(step));
      REQUIRE(ticks[i] - ticks[i - 1] == Approx(step));
      REQUIRE(std::abs(std::remainder(ticks[i], step)) < 1e-6 * step);
    }
  }
  CHECK(linear_ticks(0, 1, 6) == std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1});
  CHECK(linear_ticks(0, 18760, 12) ==
        std::vector<double>{0, 2000, 4000, 6000, 8000, 10000, 12000, 14000, 16000, 18000});
  CHECK(linear_ticks(1, 1, 5).empty());
  CHECK(linear_ticks(none, 1, 5).empty());
  CHECK(linear_ticks(-1e308, 1e308, 5).empty());
}

TEST_CASE("log ticks: 1-2-5, whole decades, every so many decades, or linear") {
  CHECK(log_ticks(0.18, 1.1, 8) == std::vector<double>{0.2, 0.5, 1});
  CHECK(log_ticks(5e-5, 20, 8) == std::vector<double>{1e-4, 1e-3, 1e-2, 0.1, 1, 10});
  const auto wide = log_ticks(1e-20, 1e20, 8);
  CHECK((wide.size() >= 3 && wide.size() <= 8));
  for (const double tick : wide) CHECK(is_round(tick));
  const auto narrow = log_ticks(0.31, 0.39, 8);
  CHECK(narrow.size() >= 3);
  CHECK(log_ticks(-1, 1, 8).empty());
}

TEST_CASE("tick labels share one notation and tell the value exactly") {
  using Labels = std::vector<std::string>;
  CHECK(tick_labels({0, 0.2, 0.4, 0.6000000000000001, 1}) == Labels{"0", "0.2", "0.4", "0.6", "1.0"});
  CHECK(tick_labels({0, 2000, 4000}) == Labels{"0", "2000", "4000"});
  CHECK(tick_labels({0, 5000, 10000}) == Labels{"0", "5k", "10k"});
  CHECK(tick_labels({2.5e6, 5e6}) == Labels{"2.5M", "5.0M"});
  CHECK(tick_labels({0, 5e-5, 1e-4}) == Labels{"0", "5e-05", "0.0001"});
  CHECK(tick_labels({-0.25, 0, 0.25}) == Labels{"-0.25", "0", "0.25"});
  CHECK(tick_labels({1e3, 1e4, 1e5, 1e6}) == Labels{"1000", "10k", "100k", "1M"});
  CHECK(tick_labels({0.001, 0.01, 0.1, 1}) == Labels{"0.001", "0.01", "0.1", "1"});
  CHECK(tick_labels({}).empty());
}

TEST_CASE("a line passes through its points, with its colour, on both kinds of axis") {
  for (const bool log_y : {false, true}) {
    const Chart chart{"two points", "x", "y", log_y, {{"a", {0, 10}, {1, 100}}, {"b", {0, 10}, {90, 2}}}};
    const Canvas canvas = draw(chart);
    const Frame frame = frame_of(chart, canvas.width, canvas.height);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& y = chart.series[i].y;
      const double middle = log_y ? std::sqrt(y[0] * y[1]) : (y[0] + y[1]) / 2;
      const double quarter = log_y ? y[0] * std::pow(y[1] / y[0], 0.25) : y[0] + (y[1] - y[0]) * 0.25;
      CHECK(at(canvas, place(frame, 2.5, quarter)) == series_colour(chart, i));
      CHECK(at(canvas, place(frame, 10, y[1])) == series_colour(chart, i));
      if (i == 1) CHECK(at(canvas, place(frame, 5, middle)) == series_colour(chart, i));  // drawn over the first
    }
    CHECK(at(canvas, place(frame, 1, log_y ? 5 : 80.2)) != series_colour(chart, 0));
    const Point low = place(frame, 0, 1), high = place(frame, 0, 100);
    CHECK(low.y > high.y);
    CHECK((high.y >= frame.top && low.y <= frame.bottom));
  }
}

TEST_CASE("a higher value stands higher, and equal ratios are equal heights on a log axis") {
  const Chart chart{"", "", "", true, {{"a", {0, 1}, {1, 1000}}}};
  const Frame frame = frame_of(chart, 800, 500);
  const double one = place(frame, 0, 1).y, ten = place(frame, 0, 10).y, hundred = place(frame, 0, 100).y;
  CHECK(one - ten == Approx(ten - hundred));
  CHECK(std::isnan(place(frame, 0, 0).y));
  CHECK(std::isnan(place(frame, 0, -3).y));
}

TEST_CASE("a faint series wears a pale shade of the next full one and lies beneath it") {
  const Chart chart{
      "", "", "", false, {{"raw", {0, 1}, {1, 2}, true}, {"mean", {0, 1}, {2, 1}}, {"other", {0, 1}, {1, 1}}}};
  CHECK(series_colour(chart, 0) == series_colour(chart, 1));
  CHECK(series_colour(chart, 1) != series_colour(chart, 2));
  const Canvas canvas = draw(chart);
  const Frame frame = frame_of(chart, 1200, 700);
  CHECK(at(canvas, place(frame, 0.5, 1.5)) == series_colour(chart, 1));
  const Colour pale = at(canvas, place(frame, 0.25, 1.25)), full = series_colour(chart, 0);
  CHECK((pale.r > full.r && pale.g > full.g && pale.b > full.b && pale != white));
}

TEST_CASE("colours of neighbours differ in lightness or hue enough to tell apart") {
  Chart chart;
  chart.series.resize(7);
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const Colour a = series_colour(chart, i), b = series_colour(chart, j);
      CHECK(std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b) > 60);
    }
}

TEST_CASE("what cannot be drawn is left out, and no data is said") {
  for (const bool log_y : {false, true}) {
    CHECK_NOTHROW(draw(Chart{}, 320, 240));
    CHECK_NOTHROW(draw(Chart{"t", "x", "y", log_y, {{"a", {}, {}}, {"b", {1, none, inf}, {none, 1, 2}}}}));
    CHECK(frame_of(Chart{"", "", "", log_y, {{"a", {1}, {none}}}}, 800, 500).empty);
    for (const double y : {5.0, 1e-30, 1e9, 0.0, -2.0})
      CHECK_NOTHROW(draw(Chart{"t", "x", "y", log_y, {{"one point", {3}, {y}}, {"flat", {1, 2, 3}, {y, y, y}}}}));
    CHECK_NOTHROW(draw(Chart{"", "", "", log_y, {{"huge", {0, 1e308, 1, 2}, {1e-300, 1, 1e299, -1e308}}}}));
    CHECK_NOTHROW(draw(Chart{"", "", "", log_y, {{"close", {1e9, 1e9 + 1e-6}, {1, 1 + 1e-15}}}}));
  }
  const Chart gap{"", "", "", false, {{"", {0, 1, 2, 3, 4}, {1, 2, none, 2, 1}}}};
  const Canvas canvas = draw(gap);
  const Frame frame = frame_of(gap, 1200, 700);
  CHECK(at(canvas, place(frame, 0.5, 1.5)) == series_colour(gap, 0));
  CHECK(at(canvas, place(frame, 2, 2)) != series_colour(gap, 0));
  CHECK(at(canvas, place(frame, 1.5, 2)) != series_colour(gap, 0));
}

TEST_CASE("the legend names what has a name and makes room for itself") {
  Chart chart{"", "", "", false, {{"", {0, 1}, {1, 2}}}};
  const int without = frame_of(chart, 1200, 700).top;
  CHECK(in_legend(chart, series_colour(chart, 0)) == 0);
  chart.series[0].name = "loss";
  CHECK(frame_of(chart, 1200, 700).top > without);
  CHECK(in_legend(chart, series_colour(chart, 0)) > 50);
  for (int i = 0; i < 12; ++i) chart.series.push_back({"a series with a rather long name", {0, 1}, {1, 2}});
  const Frame crowded = frame_of(chart, 1200, 700);
  CHECK(crowded.top > without + 80);
  CHECK_THROWS_AS(draw(chart, 400, 300), kernels::Error);
}

TEST_CASE("charts refuse what makes no sense") {
  CHECK_THROWS_AS(draw(Chart{}, 100, 100), kernels::Error);
  CHECK_THROWS_WITH(draw(Chart{"", "", "", false, {{"loss", {1, 2}, {1}}}}), ContainsSubstring("series 'loss'"));
  CHECK_THROWS_AS(smoothed({"a", {1, 2}, {1}}, 3), kernels::Error);
  CHECK_THROWS_AS(smoothed({"a", {1}, {1}}, 0), kernels::Error);
}

TEST_CASE("smoothing keeps a straight line, averages noise away and skips what is not finite") {
  Series line{"l", {}, {}, true}, noise{"n", {}, {}, true};
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 2000; ++i) {
    line.x.push_back(i), line.y.push_back(3 - 0.5 * i);
    noise.x.push_back(i), noise.y.push_back(normal(random));
  }
  noise.y[1000] = none;
  noise.y[1001] = inf;
  const Series straight = smoothed(line, 101), calm = smoothed(noise, 101);
  CHECK_FALSE(straight.faint);
  for (std::size_t i = 0; i < straight.x.size(); ++i)
    REQUIRE(straight.y[i] == Approx(3 - 0.5 * straight.x[i]).margin(1e-9));
  double square = 0;
  for (const double y : calm.y) {
    REQUIRE(std::isfinite(y));
    square += y * y / double(calm.y.size());
  }
  CHECK(std::sqrt(square) < 0.16);  // 1 / sqrt(101) is 0.1; the ends have half the points
  CHECK(std::sqrt(square) > 0.05);
  CHECK(smoothed({"a", {1, 2, 3}, {4, 8, 6}}, 1).y == std::vector<double>{4, 8, 6});
  CHECK(smoothed({"a", {1, 2, 3}, {4, 8, 6}}, 3).y == std::vector<double>{6, 6, 7});
  CHECK(std::isnan(smoothed({"a", {1, 2, 3}, {4, none, 6}}, 1).y[1]));
  CHECK(smoothed({}, 9).y.empty());
}
