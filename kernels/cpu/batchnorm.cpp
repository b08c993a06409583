#include "kernels/batchnorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

/// What forward makes of a column's mean and biased variance, beside y.
template <class Sum>
Sum keep_statistics(const BatchNormForward& a, std::int64_t c, Sum mean, Sum variance) {
  const Sum rstd = Sum(1) / std::sqrt(variance + Sum(a.eps));
  if (a.mean) a.mean.as<Sum>()[c] = mean;
  if (a.rstd) a.rstd.as<Sum>()[c] = rstd;
  if (a.next_mean) {
    const Sum B = Sum(a.x.rows()), fresh = Sum(a.momentum), old = Sum(1 - a.momentum);
    a.next_mean.as<Sum>()[c] = old * a.running_mean.as<Sum>()[c] + fresh * mean;
    a.next_var.as<Sum>()[c] = old * a.running_var.as<Sum>()[c] + fresh * (variance * (B / (B - 1)));
  }
  return rstd;
}

// ---- reference: the formulas of batchnorm.h, column by column -----------------------------------------------------

template <class T>
void forward_column(const BatchNormForward& a, std::int64_t c) {
  using Sum = Statistics<T>;
  const std::int64_t B = a.x.rows();
  const auto x = [&](std::int64_t b) { return Sum(a.x.row<T>(b)[c]); };
  Sum mean = 0, variance = 0;
  if (a.mode == BatchNormMode::evaluation) {
    mean = a.running_mean.as<Sum>()[c];
    variance = a.running_var.as<Sum>()[c];
  } else {
    for (std::int64_t b = 0; b < B; ++b) mean += x(b);
    mean /= Sum(B);
    for (std::int64_t b = 0; b < B; ++b) variance += (x(b) - mean) * (x(b) - mean);
    variance /= Sum(B);
  }
  const Sum rstd = keep_statistics(a, c, mean, variance);
  for (std::int64_t b = 0; b < B; ++b) a.y.row<T>(b)[c] = T((x(b) - mean) * rstd);
}

template <class T>
void backward_column(const BatchNormBackward& a, std::int64_t c) {
  using Sum = Statistics<T>;
  const std::int64_t B = a.x.rows();
  const Sum mean = a.mean.as<Sum>()[c], rstd = a.rstd.as<Sum>()[c];
  const auto dy = [&](std::int64_t b) { return Sum(a.dy.row<T>(b)[c]); };
  const auto n = [&](std::int64_t b) { return (Sum(a.x.row<T>(b)[c]) - mean) * rstd; };
  Sum average_dy = 0, average_dy_n = 0;
  if (a.mode == BatchNormMode::training) {
    for (std::int64_t b = 0; b < B; ++b) {
      average_dy += dy(b);
      average_dy_n += dy(b) * n(b);
    }
    average_dy /= Sum(B);
    average_dy_n /= Sum(B);
  }
  for (std::int64_t b = 0; b < B; ++b) {
    T& dx = a.dx.row<T>(b)[c];
    const Sum before = a.dx_mode == Write::accumulate ? Sum(dx) : Sum(0);
    dx = T(before + rstd * (a.mode == BatchNormMode::training ? dy(b) - average_dy - n(b) * average_dy_n : dy(b)));
  }
}

void forward_reference(Stream&, const BatchNormForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.cols(), [&](std::int64_t c) { forward_column<T>(a, c); }); });
}

void backward_reference(Stream&, const BatchNormBackward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.cols(), [&](std::int64_t c) { backward_column<T>(a, c); }); });
}

// ---- fast: f32, in strips of columns, whose sums stay in the nearest cache ----------------------------------------

constexpr std::int64_t strip = 64;  // columns

/// One value for each column of a strip.
struct Strip {
  float of[strip] = {};
};

MAE_VECTOR void add_values(const float* x, float* sums, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) sums[c] += x[c];
}

MAE_VECTOR void add_squares(const float* x, const float* mean, float* sums, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) sums[c] += (x[c] - mean[c]) * (x[c] - mean[c]);
}

MAE_VECTOR void normalise(const float* x, const float* mean, const float* rstd, float* y, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) y[c] = (x[c] - mean[c]) * rstd[c];
}

MAE_VECTOR void add_products(const float* dy, const float* x, const float* mean, const float* rstd, float* dy_sums,
                             float* product_sums, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) {
    dy_sums[c] += dy[c];
    product_sums[c] += dy[c] * ((x[c] - mean[c]) * rstd[c]);
  }
}

void forward_strip(const BatchNormForward& a, std::int64_t first) {
  const std::int64_t B = a.x.rows(), columns = std::min(strip, a.x.cols() - first);
  const auto x = [&](std::int64_t b) { return a.x.row<float>(b) + first; };
  Strip mean, variance, rstd;
  if (a.mode == BatchNormMode::evaluation) {
    std::copy_n(a.running_mean.as<float>() + first, columns, mean.of);
    std::copy_n(a.running_var.as<float>() + first, columns, variance.of);
  } else {
    for (std::int64_t b = 0; b < B; ++b) add_values(x(b), mean.of, columns);
    for (float& m : mean.of) m /= static_cast<float>(B);
    for (std::int64_t b = 0; b < B; ++b) add_squares(x(b), mean.of, variance.of, columns);
    for (float& v : variance.of) v /= static_cast<float>(B);
  }
  for (std::int64_t c = 0; c < columns; ++c) rstd.of[c] = keep_statistics(a, first + c, mean.of[c], variance.of[c]);
  for (std::int64_t b = 0; b < B; ++b) normalise(x(b), mean.of, rstd.of, a.y.row<float>(b) + first, columns);
}

/// dx = or += rstd * (dy - average_dy - n * average_dy_n)
MAE_VECTOR void write_dx(const BatchNormBackward& a, std::int64_t b, std::int64_t first, const float* average_dy,
                         const float* average_dy_n, std::int64_t columns) {
  const float *dy = a.dy.row<float>(b) + first, *x = a.x.row<float>(b) + first, *mean = a.mean.as<float>() + first,
              *rstd = a.rstd.as<float>() + first;
  float* dx = a.dx.row<float>(b) + first;
  if (a.dx_mode == Write::overwrite) std::fill_n(dx, columns, 0.0f);
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c)
    dx[c] += rstd[c] * (dy[c] - average_dy[c] - (x[c] - mean[c]) * rstd[c] * average_dy_n[c]);
}

void backward_strip(const BatchNormBackward& a, std::int64_t first) {
  const std::int64_t B = a.x.rows(), columns = std::min(strip, a.x.cols() - first);
  Strip average_dy, average_dy_n;  // zero in evaluation
  if (a.mode == BatchNormMode::training) {
    for (std::int64_t b = 0; b < B; ++b) {
      add_products(a.dy.row<float>(b) + first, a.x.row<float>(b) + first, a.mean.as<float>() + first,
                   a.rstd.as<float>() + first, average_dy.of, average_dy_n.of, columns);
    }
    for (float& v : average_dy.of) v /= static_cast<float>(B);
    for (float& v : average_dy_n.of) v /= static_cast<float>(B);
  }
  for (std::int64_t b = 0; b < B; ++b) write_dx(a, b, first, average_dy.of, average_dy_n.of, columns);
}

void forward_fast(Stream&, const BatchNormForward& a, void*) {
  parallel_for((a.x.cols() + strip - 1) / strip, [&](std::int64_t s) { forward_strip(a, s * strip); });
}

void backward_fast(Stream&, const BatchNormBackward& a, void*) {
  parallel_for((a.x.cols() + strip - 1) / strip, [&](std::int64_t s) { backward_strip(a, s * strip); });
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<BatchNormForward> forward_rows[] = {
    {.name = "fast", .refuses = not_f32<BatchNormForward>, .run = forward_fast},
    widened<BatchNormForward>,
    {.name = "reference", .refuses = nullptr, .run = forward_reference},
};
constexpr Variant<BatchNormBackward> backward_rows[] = {
    {.name = "fast", .refuses = not_f32<BatchNormBackward>, .run = backward_fast},
    widened<BatchNormBackward>,
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<BatchNormForward> BatchNormForward::cpu{cpu::forward_rows};
const Rows<BatchNormBackward> BatchNormBackward::cpu{cpu::backward_rows};
}  // namespace kernels
