// GELU in its exact form (Hendrycks & Gimpel 2016):  y = x Phi(x) = x (1 + erf(x / sqrt 2)) / 2
//     dx = dy (Phi(x) + x phi(x)),   phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
//     dx_sum = sum over rows of dx: the bias gradient of the linear layer whose output x is
// Not the tanh approximation, which differs by up to 4e-4. dtypes: f64, f32 or bf16, all alike; dx_sum f64 for f64
// data, else f32, in an order that does not depend on the number of threads.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct GeluForward {
  static constexpr const char* kernel = "gelu_forward";
  static const Rows<GeluForward> cpu, cuda, simt;

  View x;  // (R, C)
  View y;  // (R, C)   written

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("y", a.y, Role::output);
  }
};

struct GeluBackward {
  static constexpr const char* kernel = "gelu_backward";
  static const Rows<GeluBackward> cpu, cuda, simt;

  View dy;        // (R, C)
  View x;         // (R, C)
  View dx;        // (R, C)   written
  View dx_sum{};  // (C)   null: not wanted
  Write sum_mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dy", a.dy, Role::input);
    f("x", a.x, Role::input);
    f("dx", a.dx, Role::output);
    f("dx_sum", a.dx_sum, role_of(a.sum_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("sum_mode", a.sum_mode);
  }
};

void validate(const GeluForward& a);
void validate(const GeluBackward& a);
Cost cost(const GeluForward& a);
Cost cost(const GeluBackward& a);

}  // namespace kernels
