// The exact GELU of kernels/activation.h in f32, for every kernel that takes it on the way.
#pragma once

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

/// The share of a normal distribution below x. By erfc, not 1 + erf, which cancels for negative x.
__device__ inline float cumulative(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
__device__ inline float density(float x) { return 0.39894228f * expf(-0.5f * x * x); }

__device__ inline float gelu(float x) { return x * cumulative(x); }
__device__ inline float gelu_slope(float x) { return cumulative(x) + x * density(x); }

}  // namespace kernels::MAE_GPU
