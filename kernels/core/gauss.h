// The normal distribution in f32 without erfc, for CPU and GPU alike.
#pragma once

#include "kernels/core/bf16.h"

namespace kernels {

constexpr float gauss_slope = 0.31f;  // t = 1 / (1 + gauss_slope u)

/// p(t) of Phi(-u) = exp(-u^2 / 2) p(t) t, u >= 0: of degree 7, fitted for the least relative error on u in [0, 14]
/// (1.7e-7 in exact arithmetic); so the lower tail, too, has its leading digits, and goes to 0.
MAE_HOST_DEVICE inline float gauss_tail(float t) {
  float p = 0.0358419448f;
  p = p * t - 0.141605459f;
  p = p * t + 0.155069279f;
  p = p * t - 0.0149046258f;
  p = p * t + 0.11011075f;
  p = p * t + 0.107770916f;
  p = p * t + 0.124060367f;
  return p * t + 0.123656909f;
}

struct Gauss {
  float density;     // phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
  float cumulative;  // Phi(x) = (1 + erf(x / sqrt 2)) / 2
};

}  // namespace kernels
