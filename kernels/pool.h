// From the tokens of a sample to the one row that a classifier sees.
//
//     mean   out[b] = average over l of x[b, 1 + l]            the patch tokens, without the class token
//     cls    out[b] = x[b, 0]                                  the class token
//
// The gradients:
//
//     mean   dx[b, 1 + l] = dout[b] / L,  dx[b, 0] = 0
//     cls    dx[b, 0] = dout[b],          dx[b, 1 + l] = 0
//
// Nothing is saved. A sum over tokens has an order that L alone decides. dtypes: f64, f32 or bf16, all alike.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

enum class Pooling { mean, cls };
constexpr std::array<const char*, 2> names_of(Pooling) { return {"mean", "cls"}; }

struct TokenPoolForward {
  static constexpr const char* kernel = "token_pool_forward";
  static const Rows<TokenPoolForward> cpu, cuda, simt;

  View x;    // (B, 1 + L, C)
  View out;  // (B, C)   written
  Pooling pooling = Pooling::mean;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("pooling", a.pooling);
  }
};

struct TokenPoolBackward {
  static constexpr const char* kernel = "token_pool_backward";
  static const Rows<TokenPoolBackward> cpu, cuda, simt;

  View dout;  // (B, C)
  View dx;    // (B, 1 + L, C)
  Write dx_mode = Write::overwrite;
  Pooling pooling = Pooling::mean;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("dx", a.dx, role_of(a.dx_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("dx_mode", a.dx_mode);
    f("pooling", a.pooling);
  }
};

void validate(const TokenPoolForward& a);
void validate(const TokenPoolBackward& a);
Cost cost(const TokenPoolForward& a);
Cost cost(const TokenPoolBackward& a);

}  // namespace kernels
