// An exponential moving average, in place: of weights (EMA, Polyak & Juditsky 1992), or of statistics.
//
//     average = decay * average + (1 - decay) * x
//
// With decay 0 it is a copy, whatever stood there. Nothing happens when *finite is 0: what a step that is not finite
// has made does not get in.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct MovingAverage {
  static constexpr const char* kernel = "moving_average";
  static const Rows<MovingAverage> cpu, cuda, simt;

  View x;        // (N)   f32 or f64
  View finite;   // (1)   i32
  View average;  // (N)   updated; dtype of x
  double decay = 0.9999;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("finite", a.finite, Role::input);
    f("average", a.average, Role::updated);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("decay", a.decay);
  }
};

void validate(const MovingAverage& a);
Cost cost(const MovingAverage& a);

}  // namespace kernels
