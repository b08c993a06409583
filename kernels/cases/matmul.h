// out (M, N) = a b over K; PAD more elements between the rows of every view. GELU=1: the variations with an activation
// or column sums, instead of those without.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/matmul.h"

namespace kernels {

template <>
struct Case<MatMul> {
  static constexpr const char* tests[] = {"M=1 N=1 K=1",
                                          "M=5 N=3 K=7",
                                          "M=6 N=16 K=300",
                                          "M=104 N=40 K=64",
                                          "M=203 N=270 K=37",
                                          "M=98 N=64 K=530 PAD=4",
                                          "M=50 N=96 K=588 PAD=4",
                                          "M=136 N=24 K=520",
                                          "M=13 N=37 K=1601",
                                          "M=2050 N=20 K=9",
                                          "M=33 N=13 K=24 GELU=1",
                                          "M=300 N=136 K=40 GELU=1",
                                          "M=130 N=203 K=75 PAD=5 GELU=1"};
  static constexpr const char* bench[] = {
      "M=3328 N=512 K=128",   "M=800 N=2304 K=768",   "M=12800 N=768 K=768",
      "M=12608 N=512 K=768",  "M=12608 N=2048 K=512", "M=12544 N=768 K=512",
      "M=12800 N=1280 K=588", "M=768 N=768 K=12800",  "M=12608 N=2048 K=512 GELU=1"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<MatMul> make(const Dims& d, DType t) {
    const std::int64_t M = d["M"], N = d["N"], K = d["K"], pad = d.get("PAD", 0);
    const auto matrix = [&](DType type, std::int64_t rows, std::int64_t cols) {
      return shaped(type, {rows, cols}, cols + pad);
    };
    const DType statistic = statistics_of(t);
    const MatMul forward{
        .a = matrix(t, M, K), .b = matrix(t, N, K), .out = matrix(t, M, N), .b_layout = Layout::transposed};
    if (d.get("GELU", 0)) return with_activation(forward, matrix(t, K, N));
    MatMul with_bias = forward, with_both = forward, dx = forward, dw = forward, both_transposed = forward;
    with_bias.bias = with_both.bias = shaped(t, {N});
    with_both.residual = matrix(t, M, N);
    dx.b = dw.b = matrix(t, K, N);
    dx.b_layout = dw.b_layout = Layout::plain;
    dw.a = both_transposed.a = matrix(t, K, M);
    dw.a_layout = both_transposed.a_layout = Layout::transposed;
    dw.out = matrix(statistic, M, N);
    MatMul dx_adding = dx, dw_adding = dw;
    dx_adding.mode = dw_adding.mode = Write::accumulate;
    return {forward, with_bias, with_both, dx, dx_adding, dw, dw_adding, both_transposed};
  }

  /// plain_b: b for dx.
  static std::vector<MatMul> with_activation(const MatMul& forward, const View& plain_b) {
    MatMul sums = forward;
    sums.bias = shaped(forward.a.dtype, {forward.n()});
    sums.column_sum = shaped(statistics_of(forward.a.dtype), {forward.n()});
    MatMul gelu = sums;
    gelu.activation = Activation::gelu;
    gelu.pre = forward.out;
    MatMul gelu_alone = gelu;
    gelu_alone.pre = gelu_alone.column_sum = {};
    MatMul gelu_saving = gelu;  // the first linear layer of an MLP in training
    gelu_saving.column_sum = {};
    MatMul slope = sums;
    slope.bias = {};
    slope.b = plain_b;
    slope.b_layout = Layout::plain;
    slope.activation = Activation::gelu_backward;
    slope.pre = forward.out;
    MatMul slope_adding = slope, slope_of_forward = slope;
    slope_adding.sum_mode = Write::accumulate;
    slope_of_forward.b = forward.b;
    slope_of_forward.b_layout = Layout::transposed;
    slope_of_forward.column_sum = {};
    return {sums, gelu, gelu_alone, slope, slope_adding, slope_of_forward, gelu_saving};
  }
};

}  // namespace kernels
