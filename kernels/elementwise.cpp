#include "kernels/elementwise.h"

namespace kernels {

void validate(const Fill& a) {
  require(is_floating(a.out.dtype) && a.out.shape.count() > 0, a, "out must be f64, f32 or bf16 and not empty");
}

void validate(const Cast& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(is_floating(a.out.dtype) && a.out.shape == a.x.shape, a,
          "out must be f64, f32 or bf16 and have the shape of x");
}

void validate(const Accumulate& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(a.out.dtype == a.x.dtype && a.out.shape == a.x.shape, a, "out must have the shape and dtype of x");
}

void validate(const AddRow& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(a.row.dtype == a.x.dtype && a.row.rows() == 1 && a.row.cols() == a.x.cols(), a,
          "row must be (C) or (1, C) in the dtype of x");
  require(a.out.dtype == a.x.dtype && a.out.shape == a.x.shape, a, "out must have the shape and dtype of x");
}

Cost cost(const Fill& a) { return {.flops = 0, .bytes = field_bytes(a)}; }
Cost cost(const Cast& a) { return {.flops = 0, .bytes = field_bytes(a)}; }
Cost cost(const Accumulate& a) { return {.flops = static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a)}; }
Cost cost(const AddRow& a) { return {.flops = static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a)}; }

}  // namespace kernels
