// The exact GELU of kernels/activation.h in f32, for every kernel that takes it on the way.
#pragma once

#include "kernels/core/gauss.h"
#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

/// 17 instructions, two of them on the special function unit; erfcf and expf are some 60.
__device__ inline Gauss gauss(float x) {
  const float u = fabsf(x), e = exp2_fast(-0.72134752f * u * u);  // exp(-u^2 / 2)
  const float t = reciprocal_fast(1.0f + gauss_slope * u), tail = e * gauss_tail(t) * t;
  return {.density = 0.39894228f * e, .cumulative = x < 0.0f ? tail : 1.0f - tail};
}

__device__ inline float gelu(float x) { return x * gauss(x).cumulative; }
__device__ inline float gelu_slope(float x) {
  const Gauss g = gauss(x);
  return g.cumulative + x * g.density;
}

}  // namespace kernels::MAE_GPU
