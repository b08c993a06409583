#include "kernels/activation.h"

namespace kernels {

void validate(const GeluForward& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(a.y.dtype == a.x.dtype && a.y.shape == a.x.shape, a, "y must have the shape and dtype of x");
}

void validate(const GeluBackward& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  for (const View& v : {a.dy, a.dx})
    require(v.dtype == a.x.dtype && v.shape == a.x.shape, a, "dy and dx must have the shape and dtype of x");
  require(!a.dx_sum || (a.dx_sum.dtype == statistics_of(a.x.dtype) && a.dx_sum.shape == Shape{a.x.cols()}), a,
          "dx_sum must be (C): f64 for f64 data, else f32");
}

// The error function counts as one operation: what it takes is the device's affair, and bytes are the bound anyway.
Cost cost(const GeluForward& a) {
  return {.flops = static_cast<double>(a.x.shape.count()) * 5, .bytes = field_bytes(a)};
}
Cost cost(const GeluBackward& a) {
  return {.flops = static_cast<double>(a.x.shape.count()) * (a.dx_sum ? 11 : 10), .bytes = field_bytes(a)};
}

}  // namespace kernels
