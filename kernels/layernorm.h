// LayerNorm over the last dimension (Ba et al. 2016), with the residual addition that often stands before it.
//
//     s    = x + residual                                   (s = x without a residual)
//     y    = (s - mean) * rstd * gamma + beta               mean, variance over the C elements of a row, biased
//     rstd = 1 / sqrt(variance + eps)                       MAE uses eps 1e-6 everywhere
//
// With n = (s - mean) * rstd and g = dy * gamma, the gradients are
//
//     ds     = rstd * (g - average(g) - n * average(g * n))      averages over the row
//     dgamma = sum over rows of dy * n,   dbeta = sum over rows of dy
//     dx_sum = sum over rows of dx                               of the finished dx: what was there before, plus ds
//
// dx_sum is the bias gradient of the linear layer whose output x is: in a ViT, x is the residual stream, and the layer
// that was last added to it has dx for its dy. A row may add up dx before or after it rounds it to the dtype of x.
//
// Saved for backward: s (or x), mean, rstd. Sums over rows run in blocks of fixed size, so the bits do not depend on
// the number of threads. dtypes: data f64, f32 or bf16, all alike; statistics and dgamma, dbeta, dx_sum f64 for f64
// data, else f32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct LayerNormForward {
  static constexpr const char* kernel = "layernorm_forward";
  static const Rows<LayerNormForward> cpu, cuda, simt;

  View x;           // (R, C)
  View residual{};  // (R, C)   null: none
  View gamma;       // (C)
  View beta;        // (C)
  View sum{};       // (R, C)   written: x + residual; null exactly when residual is
  View y;           // (R, C)   written
  View mean{};      // (R)      written; null: not wanted
  View rstd{};      // (R)      written; null: not wanted
  double eps = 1e-6;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("residual", a.residual, Role::input);
    f("gamma", a.gamma, Role::input);
    f("beta", a.beta, Role::input);
    f("sum", a.sum, Role::output);
    f("y", a.y, Role::output);
    f("mean", a.mean, Role::output);
    f("rstd", a.rstd, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("eps", a.eps);
  }
};

struct LayerNormBackward {
  static constexpr const char* kernel = "layernorm_backward";
  static const Rows<LayerNormBackward> cpu, cuda, simt;

  View dy;        // (R, C)
  View x;         // (R, C)   what forward normalised: x + residual
  View gamma;     // (C)
  View mean;      // (R)
  View rstd;      // (R)
  View dx{};      // (R, C)   gradient of x, and of the residual; null: not wanted
  View dgamma{};  // (C)      null: not wanted
  View dbeta{};   // (C)      null exactly when dgamma is
  View dx_sum{};  // (C)      column sums of the finished dx; null: not wanted
  Write dx_mode = Write::overwrite;
  Write parameter_mode = Write::overwrite;
  Write sum_mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dy", a.dy, Role::input);
    f("x", a.x, Role::input);
    f("gamma", a.gamma, Role::input);
    f("mean", a.mean, Role::input);
    f("rstd", a.rstd, Role::input);
    f("dx", a.dx, role_of(a.dx_mode));
    f("dgamma", a.dgamma, role_of(a.parameter_mode));
    f("dbeta", a.dbeta, role_of(a.parameter_mode));
    f("dx_sum", a.dx_sum, role_of(a.sum_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("dx_mode", a.dx_mode);
    f("parameter_mode", a.parameter_mode);
    f("sum_mode", a.sum_mode);
  }
};

void validate(const LayerNormForward& a);
void validate(const LayerNormBackward& a);
Cost cost(const LayerNormForward& a);
Cost cost(const LayerNormBackward& a);

}  // namespace kernels
