#include "kernels/activation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"
#include "kernels/reduce.h"

namespace kernels::cpu {
namespace {

// Phi by erfc, not 1 + erf: for negative x the sum would cancel.
template <class Sum>
Sum cumulative(Sum x) {
  return std::erfc(-x / std::numbers::sqrt2_v<Sum>) / 2;
}

template <class T>
void forward_row(const GeluForward& a, std::int64_t r) {
  using Sum = Statistics<T>;
  for (std::int64_t c = 0; c < a.x.cols(); ++c) {
    const Sum x = Sum(a.x.row<T>(r)[c]);
    a.y.row<T>(r)[c] = T(x * cumulative(x));
  }
}

template <class T>
void backward_row(const GeluBackward& a, std::int64_t r) {
  using Sum = Statistics<T>;
  constexpr Sum rsqrt_2pi = std::numbers::inv_sqrtpi_v<Sum> / std::numbers::sqrt2_v<Sum>;
  for (std::int64_t c = 0; c < a.x.cols(); ++c) {
    const Sum x = Sum(a.x.row<T>(r)[c]), density = std::exp(-x * x / 2) * rsqrt_2pi;
    a.dx.row<T>(r)[c] = T(Sum(a.dy.row<T>(r)[c]) * (cumulative(x) + x * density));
  }
}

MAE_VECTOR void forward_fast(const float* x, float* y, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] * gauss_approx(x[i]).cumulative;
}

MAE_VECTOR void backward_fast(const float* dy, const float* x, float* dx, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const Gauss g = gauss_approx(x[i]);
    dx[i] = dy[i] * (g.cumulative + x[i] * g.density);
  }
}

/// body(row, column, count) for runs of elements that cover x; `whole`: no view has gaps, so all is one row.
template <class F>
void for_each_run(const View& x, bool whole, F&& body) {
  constexpr std::int64_t most = 8192;
  const std::int64_t rows = whole ? 1 : x.rows(), columns = x.shape.count() / rows;
  const std::int64_t runs = (columns + most - 1) / most;
  parallel_for(rows * runs, [&](std::int64_t i) {
    const std::int64_t column = i % runs * most;
    body(i / runs, column, std::min(most, columns - column));
  });
}

ColumnSum sum_of(const GeluBackward& a) { return {.x = a.dx, .out = a.dx_sum, .mode = a.sum_mode}; }

std::size_t sum_workspace(const Device& device, const GeluBackward& a) {
  return a.dx_sum ? choose(device, sum_of(a)).scratch_bytes(device, sum_of(a)) : 0;
}

void run_forward_fast(Stream&, const GeluForward& a, void*) {
  const bool whole = a.x.contiguous() && a.y.contiguous();
  for_each_run(a.x, whole, [&](std::int64_t r, std::int64_t c, std::int64_t count) {
    forward_fast(a.x.row<float>(r) + c, a.y.row<float>(r) + c, count);
  });
}

void run_backward_fast(Stream& stream, const GeluBackward& a, void* scratch) {
  const bool whole = a.x.contiguous() && a.dy.contiguous() && a.dx.contiguous();
  for_each_run(a.x, whole, [&](std::int64_t r, std::int64_t c, std::int64_t count) {
    backward_fast(a.dy.row<float>(r) + c, a.x.row<float>(r) + c, a.dx.row<float>(r) + c, count);
  });
  if (a.dx_sum) choose(stream.device(), sum_of(a)).run(stream, sum_of(a), scratch);
}

void forward_reference(Stream&, const GeluForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.rows(), [&](std::int64_t r) { forward_row<T>(a, r); }); });
}
void backward_reference(Stream& stream, const GeluBackward& a, void* scratch) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.rows(), [&](std::int64_t r) { backward_row<T>(a, r); }); });
  if (a.dx_sum) choose(stream.device(), sum_of(a), "reference").run(stream, sum_of(a), scratch);
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<GeluForward> forward_rows[] = {
    {.name = "fast", .refuses = not_f32<GeluForward>, .run = run_forward_fast},
    widened<GeluForward>,
    {.name = "reference", .refuses = nullptr, .run = forward_reference},
};
constexpr Variant<GeluBackward> backward_rows[] = {
    {.name = "fast", .refuses = not_f32<GeluBackward>, .workspace = sum_workspace, .run = run_backward_fast},
    widened<GeluBackward>,
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<GeluForward> GeluForward::cpu{cpu::forward_rows};
const Rows<GeluBackward> GeluBackward::cpu{cpu::backward_rows};
}  // namespace kernels
