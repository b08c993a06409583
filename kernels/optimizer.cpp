#include "kernels/optimizer.h"

namespace kernels {
namespace {

bool is_one(const View& v, DType dtype) { return v.dtype == dtype && v.shape == Shape{1}; }
bool is_master(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

}  // namespace

void validate(const AdamW& a) {
  const DType t = a.gradient.dtype;
  require(is_master(t) && a.gradient.shape.rank == 1 && a.gradient.cols() > 0, a,
          "gradient must be (N), f32 or f64, and not empty");
  for (const View& v : {a.master, a.moment1, a.moment2}) {
    require(v.dtype == t && v.shape == a.gradient.shape, a,
            "master, moment1 and moment2 must have the shape and dtype of gradient");
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
  require(a.weight_decay.dtype == DType::f64 && a.weight_decay.shape == a.lr_scale.shape, a,
          "weight_decay must be (S) in f64, like lr_scale");
  require(a.bounds.dtype == DType::u32 && a.bounds.shape == Shape{a.lr_scale.cols() + 1}, a,
          "bounds must be (S + 1) in u32, one more than lr_scale");
  require(a.beta1 >= 0 && a.beta1 < 1 && a.beta2 >= 0 && a.beta2 < 1 && a.eps >= 0, a,
          "beta1 and beta2 must lie in [0, 1), eps must not be negative");
}

void validate(const StepGuard& a) {
  const DType t = a.loss.dtype;
  require(is_master(t) && is_one(a.loss, t), a, "loss must be (1), f32 or f64");
  require(is_one(a.squared_norm, t) && is_one(a.clip, t), a, "squared_norm and clip must be (1) in the dtype of loss");
  require(is_one(a.finite, DType::i32), a, "finite must be (1) in i32");
  require(a.max_norm >= 0, a, "max_norm must be positive, or 0 for no clipping");
}

void validate(const StepAdvance& a) {
  const DType t = a.loss.dtype;
  require(is_master(t) && is_one(a.loss, t), a, "loss must be (1), f32 or f64");
  require(is_one(a.finite, DType::i32), a, "finite must be (1) in i32");
  require(is_one(a.step, DType::u32), a, "step must be (1) in u32");
  require(a.losses.dtype == t && a.losses.shape.rank == 1 && a.losses.cols() > 0, a,
          "losses must be (ring) in the dtype of loss, and not empty");
}

Cost cost(const AdamW& a) {
  // of the schedule one row is read; compute is written and not read
  const double unread = a.schedule.bytes() - 3 * sizeof(double) + a.compute.bytes();
  return {.flops = 15 * static_cast<double>(a.gradient.shape.count()), .bytes = field_bytes(a) - unread};
}
Cost cost(const StepGuard& a) { return {.flops = 2, .bytes = field_bytes(a)}; }
Cost cost(const StepAdvance& a) {
  return {.flops = 1, .bytes = 2 * a.loss.bytes() + a.finite.bytes() + 2 * a.step.bytes()};
}

}  // namespace kernels
