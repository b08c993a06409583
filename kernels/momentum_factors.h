// What momentum does to the elements of one segment at one step, worked out in f64 and then narrowed: once for all
// devices.
#pragma once

#include <cmath>

#include "kernels/core/bf16.h"  // MAE_HOST_DEVICE

namespace kernels {

template <class T>
struct MomentumFactors {
  T clip;
  T decay;  // wd alone, which lr does not scale before mu
  T momentum;
  T ratio;  // q
  T rate;   // lr

  /// Of a segment without trust.
  MAE_HOST_DEVICE static MomentumFactors of(T clip, double lr, double weight_decay, double momentum) {
    return {.clip = clip, .decay = T(weight_decay), .momentum = T(momentum), .ratio = T(1), .rate = T(lr)};
  }
};

/// LARS's q, from the sums of squares of a segment's p and g.
MAE_HOST_DEVICE inline double lars_ratio(double trust, double p_squares, double g_squares) {
  return p_squares > 0 && g_squares > 0 ? trust * sqrt(p_squares) / sqrt(g_squares) : 1.0;
}

}  // namespace kernels
