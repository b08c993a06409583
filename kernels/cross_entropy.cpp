#include "kernels/cross_entropy.h"

namespace kernels {
namespace {

bool is(const View& v, DType dtype, const Shape& shape) { return v.dtype == dtype && v.shape == shape; }

// what both losses share
template <class Args>
void check_logits(const Args& a) {
  const View& z = a.logits;
  require(is_floating(z.dtype) && z.shape.rank == 2 && z.shape.count() > 0, a,
          "logits must be (B, K) in f64, f32 or bf16 and not empty");
  require(is(a.loss, statistics_of(z.dtype), {1}), a, "loss must be (1): f64 for f64 logits, else f32");
  require(!a.dlogits || is(a.dlogits, z.dtype, z.shape), a, "dlogits must have the shape and dtype of logits");
}

}  // namespace

void validate(const SoftmaxCrossEntropy& a) {
  check_logits(a);
  const Shape& s = a.logits.shape;
  require(is(a.labels, DType::i32, {s[0], 2}), a, "labels must be i32 (B, 2)");
  require(is(a.lambda, DType::f64, {s[0]}), a, "lambda must be f64 (B)");
  require(!a.class_weight || is(a.class_weight, DType::f64, {s[1]}), a, "class_weight must be f64 (K)");
  require(a.smoothing >= 0 && a.smoothing <= 1, a, "smoothing must be from 0 to 1");
}

void validate(const SigmoidCrossEntropy& a) {
  check_logits(a);
  const Shape& s = a.logits.shape;
  require(is(a.targets, DType::i32, s), a, "targets must be i32 and have the shape of logits");
  require(!a.weight || is(a.weight, DType::f64, {s[1]}), a, "weight must be f64 (K)");
}

// an exponential counts as one operation
Cost cost(const SoftmaxCrossEntropy& a) {
  return {.flops = static_cast<double>(a.logits.shape.count()) * (a.dlogits ? 9 : 6), .bytes = field_bytes(a)};
}
Cost cost(const SigmoidCrossEntropy& a) {
  return {.flops = static_cast<double>(a.logits.shape.count()) * (a.dlogits ? 10 : 7), .bytes = field_bytes(a)};
}

}  // namespace kernels
