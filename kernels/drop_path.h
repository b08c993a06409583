// Stochastic depth (Huang et al. 2016), a decision for each sample: in training, a residual branch is left out of some
// samples, and what is kept is scaled so that its mean stays.
//
//     out     = x + scale * branch where the sample is kept, else x      scale = 1 / probability of being kept
//     dbranch = scale * dout where the sample is kept, else 0            dx is dout itself
//
// A dropped branch is not read: it counts for nothing even where it is infinite or NaN. Nothing is saved but `keep`,
// which the caller has drawn. Rows trust its values. dtypes: f64, f32 or bf16, all alike; keep i32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct DropPathForward {
  static constexpr const char* kernel = "drop_path_forward";
  static const Rows<DropPathForward> cpu, cuda, simt;

  View x;       // (B, T, C)   the residual stream
  View branch;  // (B, T, C)
  View keep;    // (B, 1)      1: this sample's branch is kept, 0: it is dropped; a column of a table may be it
  View out;     // (B, T, C)   written
  double scale = 1;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("branch", a.branch, Role::input);
    f("keep", a.keep, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("scale", a.scale);
  }
};

struct DropPathBackward {
  static constexpr const char* kernel = "drop_path_backward";
  static const Rows<DropPathBackward> cpu, cuda, simt;

  View dout;     // (B, T, C)
  View keep;     // (B, 1)
  View dbranch;  // (B, T, C)   written
  double scale = 1;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("keep", a.keep, Role::input);
    f("dbranch", a.dbranch, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("scale", a.scale);
  }
};

void validate(const DropPathForward& a);
void validate(const DropPathBackward& a);
Cost cost(const DropPathForward& a);
Cost cost(const DropPathBackward& a);

}  // namespace kernels
