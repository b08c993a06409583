#include "kernels/moving_average.h"

namespace kernels {

void validate(const MovingAverage& a) {
  require((a.x.dtype == DType::f32 || a.x.dtype == DType::f64) && a.x.shape.rank == 1 && a.x.cols() > 0, a,
          "x must be (N), f32 or f64, and not empty");
  require(a.average.dtype == a.x.dtype && a.average.shape == a.x.shape, a,
          "average must have the shape and dtype of x");
  require(a.finite.dtype == DType::i32 && a.finite.shape == Shape{1}, a, "finite must be (1) in i32");
  require(a.decay >= 0 && a.decay <= 1, a, "decay must lie in [0, 1]");
}

Cost cost(const MovingAverage& a) {
  const double unread = a.decay == 0 ? a.average.bytes() : 0;
  return {.flops = 3 * static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a) - unread};
}

}  // namespace kernels
