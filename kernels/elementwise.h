// The few passes that are not fused into anything: fill, conversion, addition. Any shape, floating dtypes.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct Fill {
  static constexpr const char* kernel = "fill";
  static const Rows<Fill> cpu, cuda, simt;

  View out;  // (R, C)   written: value
  double value = 0;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("value", a.value);
  }
};

struct Cast {
  static constexpr const char* kernel = "cast";
  static const Rows<Cast> cpu, cuda, simt;

  View x;    // (R, C)   any floating dtype
  View out;  // (R, C)   written: x in the dtype of out, rounded to nearest even

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("out", a.out, Role::output);
  }
};

struct Accumulate {
  static constexpr const char* kernel = "accumulate";
  static const Rows<Accumulate> cpu, cuda, simt;

  View x;    // (R, C)
  View out;  // (R, C)   updated: out + x

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("out", a.out, Role::updated);
  }
};

/// One row added to every row, such as a mask token to all positions.
struct AddRow {
  static constexpr const char* kernel = "add_row";
  static const Rows<AddRow> cpu, cuda, simt;

  View x;    // (R, C)
  View row;  // (C) or (1, C)
  View out;  // (R, C)   written: x + row; added in f32 or better

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("row", a.row, Role::input);
    f("out", a.out, Role::output);
  }
};

void validate(const Fill& a);
void validate(const Cast& a);
void validate(const Accumulate& a);
void validate(const AddRow& a);
Cost cost(const Fill& a);
Cost cost(const Cast& a);
Cost cost(const Accumulate& a);
Cost cost(const AddRow& a);

}  // namespace kernels
