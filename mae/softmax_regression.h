// Softmax regression: the objective that a linear probe minimises, and what its solution is worth.
//
//   f(W, b) = 1/n sum_i -log softmax(W x_i + b)[label_i]  +  c / (2n) |W|^2
//
// x is f32 or f64, (n, D). Parameters and gradient are (K D + K) numbers: W (K, D), then b (K); their count tells K.
// Products run on the CPU in the dtype of x; sums over samples are added up in f64 in a fixed number of shares, so the
// result does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/core/view.h"

namespace mae {

/// f, and its gradient written. `penalty` is c; 0 <= label < K.
double softmax_regression(const kernels::View& x, std::span<const std::int32_t> labels, double penalty,
                          std::span<const double> parameters, std::span<double> gradient);

/// % of the rows of x, in f32, whose largest logit (the first of equal ones) is that of their label.
double softmax_top1(const kernels::View& x, std::span<const std::int32_t> labels, std::span<const double> parameters);

}  // namespace mae
