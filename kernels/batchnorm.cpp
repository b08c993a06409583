#include "kernels/batchnorm.h"

namespace kernels {

void validate(const BatchNormForward& a) {
  const Shape columns{a.x.cols()};
  const bool training = a.mode == BatchNormMode::training;
  require(is_floating(a.x.dtype) && a.x.shape.rank == 2 && a.x.shape.count() > 0, a,
          "x must be (B, C), f64, f32 or bf16, and not empty");
  require(!training || a.x.rows() > 1, a, "one sample has no variance: training needs a batch of 2 or more");
  require(a.y.dtype == a.x.dtype && a.y.shape == a.x.shape, a, "y must have the shape and dtype of x");
  for (const View& v : {a.running_mean, a.running_var, a.mean, a.rstd, a.next_mean, a.next_var}) {
    require(!v || (v.dtype == statistics_of(a.x.dtype) && v.shape == columns), a,
            "running_mean, running_var, mean, rstd, next_mean and next_var must be (C): f64 for f64 data, else f32");
  }
  require(bool(a.running_mean) == bool(a.running_var), a, "running_mean and running_var go together");
  require(bool(a.next_mean) == bool(a.next_var), a, "next_mean and next_var go together");
  require(training || a.running_mean, a, "evaluation needs running_mean and running_var");
  require(training || !a.next_mean, a, "evaluation has no next_mean");
  require(!a.next_mean || a.running_mean, a, "next_mean is made of running_mean, which is null");
  require(a.eps >= 0 && a.momentum >= 0 && a.momentum <= 1, a,
          "eps must not be negative, and momentum must lie in [0, 1]");
}

void validate(const BatchNormBackward& a) {
  const Shape columns{a.x.cols()};
  require(is_floating(a.x.dtype) && a.x.shape.rank == 2 && a.x.shape.count() > 0, a,
          "x must be (B, C), f64, f32 or bf16, and not empty");
  for (const View& v : {a.dy, a.dx}) {
    require(v.dtype == a.x.dtype && v.shape == a.x.shape, a, "dy and dx must have the shape and dtype of x");
  }
  for (const View& v : {a.mean, a.rstd}) {
    require(v.dtype == statistics_of(a.x.dtype) && v.shape == columns, a,
            "mean and rstd must be (C): f64 for f64 data, else f32");
  }
}

Cost cost(const BatchNormForward& a) {
  const double each = a.mode == BatchNormMode::training ? 6 : 2;
  const double unread = a.mode == BatchNormMode::training && !a.next_mean ? 2 * a.running_mean.bytes() : 0;
  return {.flops = each * static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a) - unread};
}

Cost cost(const BatchNormBackward& a) {
  const bool training = a.mode == BatchNormMode::training;
  const double unread = training ? 0 : a.x.bytes() + a.mean.bytes();
  return {.flops = (training ? 9 : 1) * static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a) - unread};
}

}  // namespace kernels
