#include "kernels/cases/activation.h"

#include <cmath>

#include "kernels/cpu/simd.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("gelu_forward passes the battery") { test::battery<GeluForward>(); }
TEST_CASE("gelu_backward passes the battery") { test::battery<GeluBackward>(); }

TEST_CASE("gelu is the exact form, not the tanh approximation") {
  const double x[] = {-3, -1, -0.5, 0, 0.5, 1, 3};
  // x Phi(x) with Phi from tables of the normal distribution
  const double y[] = {-0.00404969409489, -0.158655253931, -0.154268769363, 0,
                      0.345731230637,    0.841344746069,  2.99595030590511};
  double out[7], dx[7], ones[7];
  std::fill_n(ones, 7, 1.0);
  Stream stream(devices().front());
  const auto view = [](const double* data) { return view_of(const_cast<double*>(data), DType::f64, {1, 7}); };
  launch(stream, GeluForward{.x = view(x), .y = view(out)});
  launch(stream, GeluBackward{.dy = view(ones), .x = view(x), .dx = view(dx)});
  for (int i = 0; i < 7; ++i) {
    CHECK(out[i] == Approx(y[i]).epsilon(1e-10).margin(1e-14));
    double near[4];
    const double h = 1e-3, at[] = {x[i] - 2 * h, x[i] - h, x[i] + h, x[i] + 2 * h};
    launch(stream, GeluForward{.x = view_of(const_cast<double*>(at), DType::f64, {1, 4}),
                               .y = view_of(near, DType::f64, {1, 4})});
    CHECK(dx[i] == Approx((near[0] - 8 * near[1] + 8 * near[2] - near[3]) / (12 * h)).epsilon(1e-7).margin(1e-9));
  }
}

namespace {

/// Of a row in f32, for inputs from end to end.
void check_accuracy(const Device& device, const char* row) {
  INFO(device.name << ", " << row);
  std::vector<float> x, y, dx, ones;
  for (float v = -40; v <= 40; v += 0.00137f) x.push_back(v);
  for (float v : {-1e30f, -1e10f, -100.0f, 100.0f, 1e10f, 1e30f, 0.0f}) x.push_back(v);
  const auto count = static_cast<std::int64_t>(x.size());
  y.resize(x.size()), dx.resize(x.size()), ones.assign(x.size(), 1.0f);
  Stream stream(device);
  const auto view = [=](std::vector<float>& v) { return view_of(v.data(), DType::f32, {1, count}); };
  launch(stream, GeluForward{.x = view(x), .y = view(y)}, row);
  launch(stream, GeluBackward{.dy = view(ones), .x = view(x), .dx = view(dx)}, row);
  double worst_y = 0, worst_dx = 0, worst_tail = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], cumulative = std::erfc(-v / std::sqrt(2.0)) / 2;
    const double slope = cumulative + v * std::exp(-v * v / 2) * 0.3989422804014327;
    worst_y = std::max(worst_y, std::abs(y[i] - v * cumulative) / std::max(1.0, std::abs(v)));
    worst_dx = std::max(worst_dx, std::abs(dx[i] - slope));
    if (v < -6) worst_tail = std::max(worst_tail, std::abs(y[i] - v * cumulative));
  }
  CHECK(worst_y < 3e-7);
  CHECK(worst_dx < 5e-7);
  CHECK(worst_tail < 1e-12);
}

}  // namespace

TEST_CASE("fast gelu and its gradient follow the exact ones from end to end") {
  check_accuracy(find_device("cpu"), "fast");
  if (with_simt) check_accuracy(find_device("simt"), "packs");
}

TEST_CASE("dx_sum of gelu_backward is the sum of dx, whatever the number of rows") {
  for (const char* name : {"cpu", "simt"}) {
    if (std::string(name) == "simt" && !with_simt) continue;
    for (const std::int64_t rows : {1, 256, 257, 4097}) {
      const std::int64_t C = 24;
      std::vector<float> x(static_cast<std::size_t>(rows * C)), dx(x.size()), sum(C, 1), scratch(1 << 16);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97) / 24 - 2;
      Stream stream(find_device(name));
      stream.lend_scratch(scratch.data(), scratch.size() * sizeof(float));
      const auto view = [&](std::vector<float>& v) { return view_of(v.data(), DType::f32, {rows, C}); };
      launch(stream, GeluBackward{.dy = view(x),
                                  .x = view(x),
                                  .dx = view(dx),
                                  .dx_sum = view_of(sum.data(), DType::f32, {C}),
                                  .sum_mode = Write::accumulate});
      for (std::int64_t c = 0; c < C; ++c) {
        double expected = 1;
        for (std::int64_t r = 0; r < rows; ++r) expected += dx[static_cast<std::size_t>(r * C + c)];
        CHECK(sum[static_cast<std::size_t>(c)] == Approx(expected).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("gauss_approx keeps its relative accuracy in the lower tail") {
  double worst = 0;
  for (double x = -5; x <= 5; x += 0.0007) {
    const auto f = static_cast<float>(x);
    const double exact = std::erfc(-static_cast<double>(f) / std::sqrt(2.0)) / 2;
    worst = std::max(worst, std::abs(cpu::gauss_approx(f).cumulative / exact - 1));
  }
  CHECK(worst < 2e-6);
}
