// How optimizers on CUDA find the segment of an element of the flat buffers.
#pragma once

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {

/// The segment that element i lies in: the last one that starts at or before it. bounds (S + 1).
__device__ inline int segment_of(const unsigned* bounds, int S, long long i) {
  int low = 0, high = S;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (bounds[middle] <= i ? low : high) = middle;
  }
  return low;
}

}  // namespace kernels::MAE_GPU
