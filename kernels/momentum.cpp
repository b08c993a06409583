#include "kernels/momentum.h"

namespace kernels {
namespace {

bool is_one(const View& v, DType dtype) { return v.dtype == dtype && v.shape == Shape{1}; }

}  // namespace

void validate(const Momentum& a) {
  const DType t = a.gradient.dtype;
  require((t == DType::f32 || t == DType::f64) && a.gradient.shape.rank == 1 && a.gradient.cols() > 0, a,
          "gradient must be (N), f32 or f64, and not empty");
  for (const View& v : {a.master, a.moment}) {
    require(v.dtype == t && v.shape == a.gradient.shape, a,
            "master and moment must have the shape and dtype of gradient");
  }
  // f64 beside f64 is what the comparison of bf16 training with its f64 twin needs
  require(!a.compute ||
              (a.compute.shape == a.gradient.shape && a.compute.dtype == (t == DType::f64 ? DType::f64 : DType::bf16)),
          a, "compute must be (N) in bf16 beside f32 masters");
  require(
      a.schedule.dtype == DType::f64 && a.schedule.shape.rank == 2 && a.schedule.rows() > 0 && a.schedule.cols() == 3,
      a, "schedule must be (steps, 3) in f64");
  require(is_one(a.step, DType::u32), a, "step must be (1) in u32");
  require(is_one(a.finite, DType::i32), a, "finite must be (1) in i32");
  require(is_one(a.clip, t), a, "clip must be (1) in the dtype of gradient");
  require(a.lr_scale.dtype == DType::f64 && a.lr_scale.shape.rank == 1 && a.lr_scale.cols() > 0, a,
          "lr_scale must be (S) in f64");
  for (const View& v : {a.weight_decay, a.trust}) {
    require(v.dtype == DType::f64 && v.shape == a.lr_scale.shape, a,
            "weight_decay and trust must be (S) in f64, like lr_scale");
  }
  require(a.bounds.dtype == DType::u32 && a.bounds.shape == Shape{a.lr_scale.cols() + 1}, a,
          "bounds must be (S + 1) in u32, one more than lr_scale");
  require(a.momentum >= 0 && a.momentum < 1, a, "momentum must lie in [0, 1)");
}

Cost cost(const Momentum& a) {
  // of the schedule one row is read; compute is written and not read
  const double unread = a.schedule.bytes() - 3 * sizeof(double) + a.compute.bytes();
  return {.flops = 7 * static_cast<double>(a.gradient.shape.count()), .bytes = field_bytes(a) - unread};
}

}  // namespace kernels
