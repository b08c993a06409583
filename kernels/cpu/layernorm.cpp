#include "kernels/layernorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

// ---- reference: the formulas of layernorm.h, row by row -----------------------------------------------------------

template <class T>
void forward_row(const LayerNormForward& a, std::int64_t r) {
  using Sum = Statistics<T>;
  const std::int64_t C = a.x.cols();
  const T* s = a.x.row<T>(r);
  if (a.residual) {
    for (std::int64_t c = 0; c < C; ++c) a.sum.row<T>(r)[c] = T(Sum(s[c]) + Sum(a.residual.row<T>(r)[c]));
    s = a.sum.row<T>(r);
  }
  Sum mean = 0, variance = 0;
  for (std::int64_t c = 0; c < C; ++c) mean += Sum(s[c]);
  mean /= Sum(C);
  for (std::int64_t c = 0; c < C; ++c) variance += (Sum(s[c]) - mean) * (Sum(s[c]) - mean);
  variance /= Sum(C);
  const Sum rstd = Sum(1) / std::sqrt(variance + Sum(a.eps));
  const T *gamma = a.gamma.as<T>(), *beta = a.beta.as<T>();
  for (std::int64_t c = 0; c < C; ++c) a.y.row<T>(r)[c] = T((Sum(s[c]) - mean) * rstd * Sum(gamma[c]) + Sum(beta[c]));
  if (a.mean) a.mean.as<Sum>()[r] = mean;
  if (a.rstd) a.rstd.as<Sum>()[r] = rstd;
}

template <class T>
void dx_row(const LayerNormBackward& a, std::int64_t r) {
  using Sum = Statistics<T>;
  const std::int64_t C = a.x.cols();
  const T *dy = a.dy.row<T>(r), *x = a.x.row<T>(r), *gamma = a.gamma.as<T>();
  const Sum mean = a.mean.as<Sum>()[r], rstd = a.rstd.as<Sum>()[r];
  Sum average_g = 0, average_gn = 0;
  for (std::int64_t c = 0; c < C; ++c) {
    const Sum g = Sum(dy[c]) * Sum(gamma[c]);
    average_g += g;
    average_gn += g * (Sum(x[c]) - mean) * rstd;
  }
  average_g /= Sum(C);
  average_gn /= Sum(C);
  T* dx = a.dx.row<T>(r);
  for (std::int64_t c = 0; c < C; ++c) {
    const Sum n = (Sum(x[c]) - mean) * rstd;
    const Sum before = a.dx_mode == Write::accumulate ? Sum(dx[c]) : Sum(0);
    dx[c] = T(before + rstd * (Sum(dy[c]) * Sum(gamma[c]) - average_g - n * average_gn));
  }
}

template <class T>
void parameter_gradients(const LayerNormBackward& a) {
  using Sum = Statistics<T>;
  const Sum *mean = a.mean.as<Sum>(), *rstd = a.rstd.as<Sum>();
  for (std::int64_t c = 0; c < a.x.cols(); ++c) {
    Sum dgamma = 0, dbeta = 0;
    for (std::int64_t r = 0; r < a.x.rows(); ++r) {
      const Sum dy = Sum(a.dy.row<T>(r)[c]);
      dgamma += dy * (Sum(a.x.row<T>(r)[c]) - mean[r]) * rstd[r];
      dbeta += dy;
    }
    const bool add = a.parameter_mode == Write::accumulate;
    a.dgamma.as<Sum>()[c] = (add ? a.dgamma.as<Sum>()[c] : Sum(0)) + dgamma;
    a.dbeta.as<Sum>()[c] = (add ? a.dbeta.as<Sum>()[c] : Sum(0)) + dbeta;
  }
}

template <class T>
void sum_of_dx(const LayerNormBackward& a) {
  using Sum = Statistics<T>;
  for (std::int64_t c = 0; c < a.x.cols(); ++c) {
    Sum sum = 0;
    for (std::int64_t r = 0; r < a.x.rows(); ++r) sum += Sum(a.dx.row<T>(r)[c]);
    a.dx_sum.as<Sum>()[c] = (a.sum_mode == Write::accumulate ? a.dx_sum.as<Sum>()[c] : Sum(0)) + sum;
  }
}

void forward_reference(Stream&, const LayerNormForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.rows(), [&](std::int64_t r) { forward_row<T>(a, r); }); });
}

void backward_reference(Stream&, const LayerNormBackward& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    if (a.dx) parallel_for(a.x.rows(), [&](std::int64_t r) { dx_row<T>(a, r); });
    if (a.dgamma) parameter_gradients<T>(a);
    if (a.dx_sum) sum_of_dx<T>(a);
  });
}

// ---- fast: f32, vectorised along the row --------------------------------------------------------------------------

MAE_VECTOR void forward_row_fast(const LayerNormForward& a, std::int64_t r) {
  const std::int64_t C = a.x.cols();
  const float* s = a.x.row<float>(r);
  if (a.residual) {
    float* sum = a.sum.row<float>(r);
    const float* residual = a.residual.row<float>(r);
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) sum[c] = s[c] + residual[c];
    s = sum;
  }
  float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
  for (std::int64_t c = 0; c < C; ++c) mean += s[c];
  mean /= static_cast<float>(C);
#pragma omp simd reduction(+ : variance)
  for (std::int64_t c = 0; c < C; ++c) variance += (s[c] - mean) * (s[c] - mean);
  const float rstd = 1.0f / std::sqrt(variance / static_cast<float>(C) + static_cast<float>(a.eps));
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  float* y = a.y.row<float>(r);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) y[c] = (s[c] - mean) * rstd * gamma[c] + beta[c];
  if (a.mean) a.mean.as<float>()[r] = mean;
  if (a.rstd) a.rstd.as<float>()[r] = rstd;
}

// dx of one row, and the row's share of dgamma, dbeta and dx_sum, where they are wanted, added to `share` (3, C)
MAE_VECTOR void backward_row_fast(const LayerNormBackward& a, std::int64_t r, float* share) {
  const std::int64_t C = a.x.cols();
  const float *dy = a.dy.row<float>(r), *x = a.x.row<float>(r), *gamma = a.gamma.as<float>();
  const float mean = a.mean.as<float>()[r], rstd = a.rstd.as<float>()[r];
  if (a.dx) {
    float sum_g = 0, sum_gn = 0;
#pragma omp simd reduction(+ : sum_g, sum_gn)
    for (std::int64_t c = 0; c < C; ++c) {
      const float g = dy[c] * gamma[c];
      sum_g += g;
      sum_gn += g * ((x[c] - mean) * rstd);
    }
    const float average_g = sum_g / static_cast<float>(C), average_gn = sum_gn / static_cast<float>(C);
    float* dx = a.dx.row<float>(r);
    if (a.dx_mode == Write::overwrite) std::fill_n(dx, C, 0.0f);
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c)
      dx[c] += rstd * (dy[c] * gamma[c] - average_g - (x[c] - mean) * rstd * average_gn);
    if (a.dx_sum) {
      float* dx_sum = share + 2 * C;
#pragma omp simd
      for (std::int64_t c = 0; c < C; ++c) dx_sum[c] += dx[c];
    }
  }
  if (a.dgamma) {
    float *dgamma = share, *dbeta = share + C;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
      dgamma[c] += dy[c] * ((x[c] - mean) * rstd);
      dbeta[c] += dy[c];
    }
  }
}

constexpr std::int64_t rows_a_block = 256;
bool sums_wanted(const LayerNormBackward& a) { return a.dgamma || a.dx_sum; }
std::int64_t blocks_of(const LayerNormBackward& a) { return (a.x.rows() + rows_a_block - 1) / rows_a_block; }

std::size_t backward_workspace(const Device&, const LayerNormBackward& a) {
  return sums_wanted(a) ? static_cast<std::size_t>(blocks_of(a) * 3 * a.x.cols()) * sizeof(float)
                        : 0;  // (blocks, 3, C)
}

void forward_fast(Stream&, const LayerNormForward& a, void*) {
  parallel_for(a.x.rows(), [&](std::int64_t r) { forward_row_fast(a, r); });
}

// out[c] = or += shares[0][c] + shares[1][c] + ...
void add_shares(const float* shares, std::int64_t blocks, const View& out, Write mode) {
  const std::int64_t C = out.cols();
  for (std::int64_t c = 0; c < C; ++c) {
    float sum = 0;
    for (std::int64_t b = 0; b < blocks; ++b) sum += shares[b * 3 * C + c];
    out.as<float>()[c] = (mode == Write::accumulate ? out.as<float>()[c] : 0.0f) + sum;
  }
}

void backward_fast(Stream&, const LayerNormBackward& a, void* scratch) {
  const std::int64_t R = a.x.rows(), C = a.x.cols(), blocks = blocks_of(a);
  auto* shares = sums_wanted(a) ? static_cast<float*>(scratch) : nullptr;  // (blocks, 3, C)
  parallel_for(blocks, [&](std::int64_t b) {
    float* share = shares ? shares + b * 3 * C : nullptr;
    if (share) std::fill_n(share, 3 * C, 0.0f);
    for (std::int64_t r = b * rows_a_block; r < std::min(R, (b + 1) * rows_a_block); ++r)
      backward_row_fast(a, r, share);
  });
  if (a.dgamma) add_shares(shares, blocks, a.dgamma, a.parameter_mode);
  if (a.dgamma) add_shares(shares + C, blocks, a.dbeta, a.parameter_mode);
  if (a.dx_sum) add_shares(shares + 2 * C, blocks, a.dx_sum, a.sum_mode);
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

const char* forward_refuses_widened(const Device& device, const LayerNormForward& a) {
  if (a.residual) return "with a residual the statistics are those of the rounded sum, which an f32 row never sees";
  return refuses_widened(device, a);
}

constexpr Variant<LayerNormForward> forward_rows[] = {
    {.name = "fast", .refuses = not_f32<LayerNormForward>, .run = forward_fast},
    {.name = "widened",
     .refuses = forward_refuses_widened,
     .workspace = widened_workspace<LayerNormForward>,
     .run = run_widened<LayerNormForward>},
    {.name = "reference", .refuses = nullptr, .run = forward_reference},
};
constexpr Variant<LayerNormBackward> backward_rows[] = {
    {.name = "fast", .refuses = not_f32<LayerNormBackward>, .workspace = backward_workspace, .run = backward_fast},
    widened<LayerNormBackward>,
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<LayerNormForward> LayerNormForward::cpu{cpu::forward_rows};
const Rows<LayerNormBackward> LayerNormBackward::cpu{cpu::backward_rows};
}  // namespace kernels
