// Matrix product with the epilogues of a linear layer:  out = a b (+ bias) (+ residual), or an activation of it.
//
// The three products of a linear layer y = x w^T + b, with w (out, in) as PyTorch stores it:
//     forward   y  = x w^T + b + residual      {a = x,  b = w, b_layout = transposed}
//     dx        dx = dy w                      {a = dy, b = w}
//     dw        dw = dy^T x                    {a = dy, a_layout = transposed, b = x}
// Between the two layers of an MLP, with the exact GELU of activation.h:
//     gelu             pre = a b + bias, out = gelu(pre)        first layer, forward; pre is for backward
//     gelu_backward    out = (a b) gelu'(pre)                   second layer, dx, which is then dpre
// column_sum: the sums of out over its rows; of dpre they are the first layer's bias gradient.
// Views of any rank count as matrices of rows() x cols(). Sums over K are f32 or better.
// dtypes: a, b and bias f64, f32 or bf16, all alike; out that dtype, or f32 for bf16 operands (parameter gradients).
// A row may round pre before it takes the activation, or not.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

enum class Layout { plain, transposed };
constexpr std::array<const char*, 2> names_of(Layout) { return {"plain", "transposed"}; }
enum class Activation { none, gelu, gelu_backward };
constexpr std::array<const char*, 3> names_of(Activation) { return {"none", "gelu", "gelu_backward"}; }

struct MatMul {
  static constexpr const char* kernel = "matmul";
  static const Rows<MatMul> cpu, cuda, simt;

  View a;             // (M, K)   or (K, M) where transposed
  View b;             // (K, N)   or (N, K) where transposed
  View bias{};        // (N)      null: none
  View residual{};    // (M, N)   dtype of out; null: none
  View out;           // (M, N)
  View pre{};         // (M, N)   dtype of out; gelu: written, null: not wanted; gelu_backward: read
  View column_sum{};  // (N)    f64 for f64 data, else f32; null: not wanted
  Layout a_layout = Layout::plain;
  Layout b_layout = Layout::plain;
  Write mode = Write::overwrite;             // accumulate takes nothing of bias, residual, activation and column_sum
  Activation activation = Activation::none;  // takes no residual; gelu_backward no bias either
  Write sum_mode = Write::overwrite;

  std::int64_t m() const { return a_layout == Layout::plain ? a.rows() : a.cols(); }
  std::int64_t k() const { return a_layout == Layout::plain ? a.cols() : a.rows(); }
  std::int64_t n() const { return b_layout == Layout::plain ? b.cols() : b.rows(); }

  template <class Self, class F>
  static void fields(Self& s, F f) {
    f("a", s.a, Role::input);
    f("b", s.b, Role::input);
    f("bias", s.bias, Role::input);
    f("residual", s.residual, Role::input);
    f("pre", s.pre, s.activation == Activation::gelu ? Role::output : Role::input);
    f("out", s.out, role_of(s.mode));
    f("column_sum", s.column_sum, role_of(s.sum_mode));
  }

  template <class Self, class F>
  static void scalars(Self& s, F f) {
    f("a_layout", s.a_layout);
    f("b_layout", s.b_layout);
    f("mode", s.mode);
    f("activation", s.activation);
    f("sum_mode", s.sum_mode);
  }
};

void validate(const MatMul& s);
Cost cost(const MatMul& s);

}  // namespace kernels
