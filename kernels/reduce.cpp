#include "kernels/reduce.h"

namespace kernels {

void validate(const ColumnSum& a) {
  require(is_floating(a.x.dtype) && a.x.shape.count() > 0, a, "x must be f64, f32 or bf16 and not empty");
  require(a.out.dtype == statistics_of(a.x.dtype) && a.out.shape == Shape{a.x.cols()}, a,
          "out must be (C): f64 for f64 data, else f32");
}

void validate(const SquaredNorm& a) {
  require(is_floating(a.x.dtype) && a.x.shape.rank == 1 && a.x.shape.count() > 0, a,
          "x must be (N), f64, f32 or bf16, and not empty");
  require(a.out.dtype == statistics_of(a.x.dtype) && a.out.shape == Shape{1}, a,
          "out must be (1): f64 for f64 data, else f32");
}

Cost cost(const ColumnSum& a) { return {.flops = static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a)}; }
Cost cost(const SquaredNorm& a) {
  return {.flops = 2 * static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a)};
}

}  // namespace kernels
