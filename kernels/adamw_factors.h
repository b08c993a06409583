// What AdamW does to one element of one segment at one step, worked out in f64 and then narrowed: once for all devices.
#pragma once

#include <cmath>

#include "kernels/core/bf16.h"  // MAE_HOST_DEVICE

namespace kernels {

// Decay is lr wd, not 1 - lr wd: near 1 an f32 has steps of 6e-8, which is a percent of a usual lr wd of 5e-6.
template <class T>
struct AdamWFactors {
  T beta1, beta2;
  T fresh1, fresh2;  // 1 - beta
  T decay;           // lr wd
  T rate;            // lr / c1
  T root;            // 1 / sqrt(c2)
  T eps;
};

/// `row`: lr, c1, c2 of the step. `a`: whatever has beta1, beta2 and eps.
template <class T, class Options>
MAE_HOST_DEVICE AdamWFactors<T> adamw_factors(const double* row, double lr_scale, double weight_decay,
                                              const Options& a) {
  const double lr = row[0] * lr_scale;
  return {.beta1 = T(a.beta1),
          .beta2 = T(a.beta2),
          .fresh1 = T(1 - a.beta1),
          .fresh2 = T(1 - a.beta2),
          .decay = T(lr * weight_decay),
          .rate = T(lr / row[1]),
          .root = T(1 / sqrt(row[2])),
          .eps = T(a.eps)};
}

}  // namespace kernels
