#include "kernels/pool.h"

namespace kernels {
namespace {

// x or its gradient (B, 1 + L, C), and the pooled rows (B, C)
template <class Args>
void check_shapes(const Args& a, const View& tokens, const View& pooled) {
  const Shape& s = tokens.shape;
  require(is_floating(tokens.dtype) && s.rank == 3 && s.count() > 0, a,
          "tokens must be (B, 1 + L, C) in f64, f32 or bf16 and not empty");
  require(a.pooling == Pooling::cls || s[1] > 1, a, "a mean needs patch tokens behind the class token");
  require(pooled.dtype == tokens.dtype && pooled.shape == Shape{s[0], s[2]}, a,
          "the pooled rows must be (B, C) in the dtype of the tokens");
}

// tokens that count in the mean, B L C, or all class tokens
double pooled_values(const View& tokens, Pooling pooling) {
  const Shape& s = tokens.shape;
  return static_cast<double>(s[0] * (pooling == Pooling::mean ? s[1] - 1 : 1) * s[2]);
}

}  // namespace

void validate(const TokenPoolForward& a) { check_shapes(a, a.x, a.out); }
void validate(const TokenPoolBackward& a) { check_shapes(a, a.dx, a.dout); }

Cost cost(const TokenPoolForward& a) {
  const double values = pooled_values(a.x, a.pooling);
  return {.flops = a.pooling == Pooling::mean ? values : 0,
          .bytes = values * static_cast<double>(size_of(a.x.dtype)) + a.out.bytes()};
}

// a gradient that is added to is read and written only where something is added
Cost cost(const TokenPoolBackward& a) {
  const double values = pooled_values(a.dx, a.pooling), bytes = values * static_cast<double>(size_of(a.dx.dtype));
  const bool adds = a.dx_mode == Write::accumulate;
  return {.flops = adds ? values : 0, .bytes = a.dout.bytes() + (adds ? 2 * bytes : a.dx.bytes())};
}

}  // namespace kernels
