// Batch normalisation over the rows of a batch (Ioffe & Szegedy 2015), without affine: what stands before the
// classifier of a linear probe.
//
//     y    = (x - mean) * rstd                    of each column; rstd = 1 / sqrt(variance + eps)
//     training:    mean, variance of the column's B values, the variance biased;
//                  next = (1 - momentum) running + momentum (mean, variance B / (B - 1))
//     evaluation:  mean, variance are the running ones
//
// With n = (x - mean) * rstd, the gradient is
//
//     dx = rstd * (dy - average(dy) - n * average(dy * n))     in training, averages over the batch
//     dx = rstd * dy                                           in evaluation
//
// The new running statistics go to a place of their own, so that a step that turns out not finite has not spoilt them:
// moving_average with decay 0 takes them over. Saved for backward: x, mean, rstd. Sums are f32 or better, in an order
// that is fixed, the variance's in a pass of its own. dtypes: data f64, f32 or bf16, all alike; statistics f64 for f64
// data, else f32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

enum class BatchNormMode { training, evaluation };
constexpr std::array<const char*, 2> names_of(BatchNormMode) { return {"training", "evaluation"}; }

struct BatchNormForward {
  static constexpr const char* kernel = "batchnorm_forward";
  static const Rows<BatchNormForward> cpu, cuda, simt;

  View x;               // (B, C)   in training B is 2 or more
  View running_mean{};  // (C)      null: neither mode nor next wants it
  View running_var{};   // (C)      null exactly when running_mean is; unbiased
  View y;               // (B, C)   written
  View mean{};          // (C)      written; null: not wanted
  View rstd{};          // (C)      written; null: not wanted
  View next_mean{};     // (C)      written, in training alone; null: not wanted
  View next_var{};      // (C)      null exactly when next_mean is
  double eps = 1e-5;
  double momentum = 0.1;
  BatchNormMode mode = BatchNormMode::training;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("running_mean", a.running_mean, Role::input);
    f("running_var", a.running_var, Role::input);
    f("y", a.y, Role::output);
    f("mean", a.mean, Role::output);
    f("rstd", a.rstd, Role::output);
    f("next_mean", a.next_mean, Role::output);
    f("next_var", a.next_var, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("eps", a.eps);
    f("momentum", a.momentum);
    f("mode", a.mode);
  }
};

struct BatchNormBackward {
  static constexpr const char* kernel = "batchnorm_backward";
  static const Rows<BatchNormBackward> cpu, cuda, simt;

  View dy;    // (B, C)
  View x;     // (B, C)   what forward normalised
  View mean;  // (C)
  View rstd;  // (C)
  View dx;    // (B, C)
  Write dx_mode = Write::overwrite;
  BatchNormMode mode = BatchNormMode::training;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dy", a.dy, Role::input);
    f("x", a.x, Role::input);
    f("mean", a.mean, Role::input);
    f("rstd", a.rstd, Role::input);
    f("dx", a.dx, role_of(a.dx_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("dx_mode", a.dx_mode);
    f("mode", a.mode);
  }
};

void validate(const BatchNormForward& a);
void validate(const BatchNormBackward& a);
Cost cost(const BatchNormForward& a);
Cost cost(const BatchNormBackward& a);

}  // namespace kernels
