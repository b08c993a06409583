#include "kernels/layernorm.h"

#include "kernels/core/build.h"

namespace kernels {

void validate(const LayerNormForward& a) {
  const Shape row_values{a.x.rows()}, column_values{a.x.cols()};
  const DType statistics = statistics_of(a.x.dtype);
  const auto like_x = [&](const View& v) { return v.dtype == a.x.dtype && v.shape == a.x.shape; };
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(like_x(a.y), a, "y must have the shape and dtype of x");
  require(bool(a.residual) == bool(a.sum), a, "residual and sum go together");
  require(!a.residual || (like_x(a.residual) && like_x(a.sum)), a,
          "residual and sum must have the shape and dtype of x");
  for (const View& v : {a.gamma, a.beta}) {
    require(v.dtype == a.x.dtype && v.shape == column_values, a, "gamma and beta must be (C), in the dtype of x");
  }
  for (const View& v : {a.mean, a.rstd}) {
    require(!v || (v.dtype == statistics && v.shape == row_values), a,
            "mean and rstd must be (R): f64 for f64 data, else f32");
  }
}

void validate(const LayerNormBackward& a) {
  const Shape row_values{a.x.rows()}, column_values{a.x.cols()};
  const DType statistics = statistics_of(a.x.dtype);
  const auto like_x = [&](const View& v) { return v.dtype == a.x.dtype && v.shape == a.x.shape; };
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(like_x(a.dy) && (!a.dx || like_x(a.dx)), a, "dy and dx must have the shape and dtype of x");
  require(a.gamma.dtype == a.x.dtype && a.gamma.shape == column_values, a, "gamma must be (C), in the dtype of x");
  for (const View& v : {a.mean, a.rstd}) {
    require(v.dtype == statistics && v.shape == row_values, a, "mean and rstd must be (R): f64 for f64 data, else f32");
  }
  require(bool(a.dgamma) == bool(a.dbeta), a, "dgamma and dbeta go together");
  for (const View& v : {a.dgamma, a.dbeta, a.dx_sum}) {
    require(!v || (v.dtype == statistics && v.shape == column_values), a,
            "dgamma, dbeta and dx_sum must be (C): f64 for f64 data, else f32");
  }
  require(!a.dx_sum || a.dx, a, "dx_sum is the sum of dx, which is null");
  require(a.dx || a.dgamma, a, "nothing is wanted: dx and dgamma are both null");
}

Cost cost(const LayerNormForward& a) {
  const double elements = static_cast<double>(a.x.shape.count());
  return {.flops = elements * (a.residual ? 9 : 8), .bytes = field_bytes(a)};
}

Cost cost(const LayerNormBackward& a) {
  return {.flops = static_cast<double>(a.x.shape.count()) * (a.dx_sum ? 13 : 12), .bytes = field_bytes(a)};
}

}  // namespace kernels
