#include "kernels/cases/moving_average.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

struct Row {
  const char *device, *name;
};
constexpr Row fast{"cpu", "fast"}, reference{"cpu", "reference"}, on_simt{"simt", "packs"};

template <class T>
struct Averages {
  static constexpr std::int64_t N = 40003;
  std::vector<T> x, average;  // (N)
  std::int32_t finite = 1;

  Averages() : x(N), average(N) {
    test::fill_random(view_of(x.data(), dtype_of<T>, {N}), 1);
    test::fill_random(view_of(average.data(), dtype_of<T>, {N}), 2);
  }
  void update(const Row& row, double decay) {
    Stream stream(find_device(row.device));
    launch(stream,
           MovingAverage{.x = view_of(x.data(), dtype_of<T>, {N}),
                         .finite = view_of(&finite, DType::i32, {1}),
                         .average = view_of(average.data(), dtype_of<T>, {N}),
                         .decay = decay},
           row.name);
  }
};

template <class F>
void for_each_row(F body) {
  for (const Row& row : {fast, reference, on_simt}) {
    if (!with_simt && row.device == on_simt.device) continue;
    INFO("f32 " << row.name << " on " << row.device);
    body(Averages<float>(), row);
  }
  INFO("f64 reference");
  body(Averages<double>(), reference);
}

}  // namespace

TEST_CASE("moving_average passes the battery") { test::battery<MovingAverage>(); }

TEST_CASE("after n updates by one x, decay^n of what was there is left") {
  for_each_row([](auto a, const Row& row) {
    const auto before = a.average;
    for (int n = 0; n < 5; ++n) a.update(row, 0.75);
    const double left = 0.75 * 0.75 * 0.75 * 0.75 * 0.75;
    double worst = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double want = left * double(before[i]) + (1 - left) * double(a.x[i]);
      worst = std::max(worst, std::abs(double(a.average[i]) - want));
    }
    CHECK(worst < 1e-6);
  });
}

TEST_CASE("a decay of 0 copies over whatever was there") {
  for_each_row([](auto a, const Row& row) {
    std::fill(a.average.begin(), a.average.end(), NAN);
    a.update(row, 0);
    CHECK((a.average == a.x));
  });
}

TEST_CASE("an average does not move when finite is 0") {
  for_each_row([](auto a, const Row& row) {
    const auto before = a.average;
    for (const double decay : {0.0, 0.9}) {
      a.finite = 0;
      a.update(row, decay);
      CHECK((a.average == before));
    }
    a.finite = 1;
    a.update(row, 0.9);
    CHECK_FALSE((a.average == before));
  });
}

TEST_CASE("moving_average has the same bits with any number of threads") {
  for (const MovingAverage& a : Case<MovingAverage>::make(Dims("N=50003"), DType::f32)) {
    if (a.decay < 1) test::check_threads(a, "fast");
  }
}

TEST_CASE("moving_average refuses a decay beyond 1 and averages in another type") {
  MovingAverage a = Case<MovingAverage>::make(Dims("N=8"), DType::f32)[0];
  CHECK_NOTHROW(validate(a));
  a.decay = 1.5;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("decay"));
  a = Case<MovingAverage>::make(Dims("N=8"), DType::f32)[0];
  a.average = shaped(DType::f64, {8});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("average"));
}
