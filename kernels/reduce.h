// Sums in a fixed order: rows in blocks of a fixed size, then blocks in order, so the bits do not depend on threads.
// dtypes: x f64, f32 or bf16; out f64 for f64 data, else f32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

/// out[c] = sum over rows of x[r, c]: the gradient of a bias.
struct ColumnSum {
  static constexpr const char* kernel = "column_sum";
  static const Rows<ColumnSum> cpu, cuda, simt;

  View x;    // (R, C)
  View out;  // (C)
  Write mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("out", a.out, role_of(a.mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("mode", a.mode);
  }
};

/// out = sum of x^2 over all elements: the squared global gradient norm, over a whole flat buffer.
struct SquaredNorm {
  static constexpr const char* kernel = "squared_norm";
  static const Rows<SquaredNorm> cpu, cuda, simt;

  View x;    // (N)
  View out;  // (1)   written

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("out", a.out, Role::output);
  }
};

void validate(const ColumnSum& a);
void validate(const SquaredNorm& a);
Cost cost(const ColumnSum& a);
Cost cost(const SquaredNorm& a);

}  // namespace kernels
