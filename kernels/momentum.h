// SGD with momentum (Polyak 1964), and LARS (You et al. 2017), over a whole model's flat buffers in one launch.
//
//     g  = clip * gradient + wd p
//     q  = trust |p| / |g|           LARS: norms over the segment; 1 where trust is 0, or one of the norms is
//     mu = momentum mu + q g         kept in `moment`
//     p  = p - lr mu
//
// Without trust this is torch.optim.SGD without dampening, whose weight decay moves with the momentum; with it, LARS as
// He et al. train their linear probe: norm of g behind weight decay, lr outside of mu. lr of step s is the first number
// of row s of `schedule`, a table as AdamW's. Segment i covers the elements [bounds[i], bounds[i + 1]) and has its own
// factor of lr, weight decay and trust coefficient; a factor of 0 freezes it: nothing of it is touched. Nothing at all
// happens when *finite is 0. Norms are f64, in an order that is fixed.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct Momentum {
  static constexpr const char* kernel = "momentum";
  static const Rows<Momentum> cpu, cuda, simt;

  View gradient;      // (N)          f32, or f64 in f64 training
  View schedule;      // (steps, 3)   f64: lr, and two that are not looked at
  View step;          // (1)          u32
  View finite;        // (1)          i32
  View clip;          // (1)          dtype of gradient: a factor on every gradient
  View bounds;        // (S + 1)      u32, ascending, first 0, last N
  View lr_scale;      // (S)          f64
  View weight_decay;  // (S)          f64
  View trust;         // (S)          f64; 0: plain SGD
  View master;        // (N)          updated; dtype of gradient
  View moment;        // (N)          updated
  View compute{};     // (N)          updated: master rounded to bf16; null in f32 and f64 training
  double momentum = 0.9;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("gradient", a.gradient, Role::input);
    f("schedule", a.schedule, Role::input);
    f("step", a.step, Role::input);
    f("finite", a.finite, Role::input);
    f("clip", a.clip, Role::input);
    f("bounds", a.bounds, Role::input);
    f("lr_scale", a.lr_scale, Role::input);
    f("weight_decay", a.weight_decay, Role::input);
    f("trust", a.trust, Role::input);
    f("master", a.master, Role::updated);
    f("moment", a.moment, Role::updated);
    f("compute", a.compute, Role::updated);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("momentum", a.momentum);
  }
};

void validate(const Momentum& a);
Cost cost(const Momentum& a);

}  // namespace kernels
