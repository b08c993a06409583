// AdamW (Loshchilov & Hutter 2019) over a whole model's flat buffers in one launch, and the two small kernels that keep
// the state of training on the device, so that a captured step needs nothing from the host.
//
//     p = p (1 - lr wd),   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2      g = clip * gradient
//     p = p - lr (m / c1) / (sqrt(v / c2) + eps)                                 c1 = 1 - b1^t, c2 = 1 - b2^t
//                                                                                t = step + 1
//
// lr, c1 and c2 of step s stand in row s of `schedule`, computed in f64 before training. Segment i covers the elements
// [bounds[i], bounds[i + 1]) and has its own factor of lr and its own weight decay; a factor of 0 freezes it: nothing
// of it is touched. Nothing at all happens when *finite is 0.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct AdamW {
  static constexpr const char* kernel = "adamw";
  static const Rows<AdamW> cpu, cuda, simt;

  View gradient;      // (N)          f32, or f64 in f64 training
  View schedule;      // (steps, 3)   f64: lr, c1, c2
  View step;          // (1)          u32
  View finite;        // (1)          i32
  View clip;          // (1)          dtype of gradient: a factor on every gradient
  View bounds;        // (S + 1)      u32, ascending, first 0, last N
  View lr_scale;      // (S)          f64
  View weight_decay;  // (S)          f64
  View master;        // (N)          updated; dtype of gradient
  View moment1;       // (N)          updated
  View moment2;       // (N)          updated
  View compute{};     // (N)          updated: master rounded to bf16; null in f32 and f64 training
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;

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
    f("master", a.master, Role::updated);
    f("moment1", a.moment1, Role::updated);
    f("moment2", a.moment2, Role::updated);
    f("compute", a.compute, Role::updated);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("beta1", a.beta1);
    f("beta2", a.beta2);
    f("eps", a.eps);
  }
};

/// Before the update: finite becomes 0 unless loss and squared_norm are finite, and a 0 stays 0: what was queued behind a
/// step that is not finite changes nothing either, until the host sets it to 1 again. clip = min(1, max_norm / norm), or
/// 1 for max_norm 0 or where finite is 0.
struct StepGuard {
  static constexpr const char* kernel = "step_guard";
  static const Rows<StepGuard> cpu, cuda, simt;

  View loss;          // (1)   f32, or f64 in f64 training
  View squared_norm;  // (1)   of the gradient
  View finite;        // (1)   i32, updated
  View clip;          // (1)   written
  double max_norm = 0;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("loss", a.loss, Role::input);
    f("squared_norm", a.squared_norm, Role::input);
    f("finite", a.finite, Role::updated);
    f("clip", a.clip, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("max_norm", a.max_norm);
  }
};

/// After the update: losses[step mod ring] = loss, then step += 1; only when *finite is 1.
struct StepAdvance {
  static constexpr const char* kernel = "step_advance";
  static const Rows<StepAdvance> cpu, cuda, simt;

  View loss;    // (1)
  View finite;  // (1)      i32
  View step;    // (1)      u32, updated
  View losses;  // (ring)   updated

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("loss", a.loss, Role::input);
    f("finite", a.finite, Role::input);
    f("step", a.step, Role::updated);
    f("losses", a.losses, Role::updated);
  }
};

void validate(const AdamW& a);
void validate(const StepGuard& a);
void validate(const StepAdvance& a);
Cost cost(const AdamW& a);
Cost cost(const StepGuard& a);
Cost cost(const StepAdvance& a);

}  // namespace kernels
