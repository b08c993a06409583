// What the losses on CUDA share.
#pragma once

#include "kernels/cuda/common.cuh"
#include "kernels/loss.h"

namespace kernels::MAE_GPU {

/// Mean and 1 / standard deviation of a target patch; raw pixels have 0 and 1.
struct Spread {
  float mean = 0, rstd = 1;
};

/// loss (1) = or += scale * the sum of partial (parts), added in an order that parts alone decides. loss.cu
void add_up_loss(Stream& stream, const float* partial, unsigned parts, const View& loss, double scale, Write mode);

}  // namespace kernels::MAE_GPU
