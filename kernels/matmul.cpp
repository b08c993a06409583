#include "kernels/matmul.h"

namespace kernels {

void validate(const MatMul& s) {
  const std::int64_t M = s.m(), N = s.n(), K = s.k();
  const std::int64_t b_k = s.b_layout == Layout::plain ? s.b.rows() : s.b.cols();
  require(is_floating(s.a.dtype) && M > 0 && N > 0 && K > 0, s, "a and b must be f64, f32 or bf16 and not empty");
  require(s.b.dtype == s.a.dtype, s, "a and b must have one dtype");
  require(b_k == K, s, "the inner sizes of a and b differ");
  require(s.out.rows() == M && s.out.cols() == N, s, "out must be (M, N)");
  require(s.out.dtype == s.a.dtype || (s.out.dtype == DType::f32 && s.a.dtype == DType::bf16), s,
          "out must have the dtype of a, or f32 for bf16 operands");
  require(!s.bias || (s.bias.dtype == s.a.dtype && s.bias.shape == Shape{N}), s, "bias must be (N), in the dtype of a");
  require(!s.residual || (s.residual.dtype == s.out.dtype && s.residual.rows() == M && s.residual.cols() == N), s,
          "residual must be (M, N), in the dtype of out");
  require(s.mode == Write::overwrite || (!s.bias && !s.residual), s, "accumulate takes neither bias nor residual");
  const bool gelu = s.activation == Activation::gelu, backward = s.activation == Activation::gelu_backward;
  require(s.mode == Write::overwrite || (!gelu && !backward && !s.column_sum), s,
          "accumulate takes neither an activation nor column_sum");
  require(!s.residual || (!gelu && !backward), s, "an activation takes no residual");
  require(!backward || (s.pre && !s.bias), s, "gelu_backward takes pre and no bias");
  require(!s.pre || gelu || backward, s, "pre is for an activation");
  require(!s.pre || (s.pre.dtype == s.out.dtype && s.pre.rows() == M && s.pre.cols() == N), s,
          "pre must be (M, N), in the dtype of out");
  require(!s.column_sum || (s.column_sum.dtype == statistics_of(s.a.dtype) && s.column_sum.shape == Shape{N}), s,
          "column_sum must be (N), in f64 for f64 data, else f32");
}

// The few operations of an activation are not counted.
Cost cost(const MatMul& s) {
  const double elements = static_cast<double>(s.m()) * static_cast<double>(s.n());
  return {.flops = 2 * elements * static_cast<double>(s.k()), .bytes = field_bytes(s)};
}

}  // namespace kernels
