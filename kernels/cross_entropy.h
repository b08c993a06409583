// The losses of a classifier, both directions in one pass.
//
// SoftmaxCrossEntropy: one class out of K, with label smoothing and, for mixup and cutmix, two labels a sample. With
// eps = smoothing, lambda and the two labels p, q of a sample, the soft target is timm's:
//
//     hot(p)_k   = 1 - eps + eps / K where k = p, else eps / K
//     t          = lambda hot(p) + (1 - lambda) hot(q)                       which sums to 1
//     loss      += factor * sum over samples of w (log sum_k exp(z_k) - sum_k t_k z_k)
//     dlogits    = factor * w (softmax(z) - t)
//     w          = lambda class_weight[p] + (1 - lambda) class_weight[q], or 1
//
// A sample whose first label is -1 has none: it counts for nothing, and its gradient is 0. The second label is looked
// at only where lambda is not 1.
//
// SigmoidCrossEntropy: K questions of yes or no, some of which may have no answer.
//
//     loss      += factor * sum over known targets of w_k (log(1 + exp(z)) - t z)
//     dlogits    = factor * w_k (1 / (1 + exp(-z)) - t), 0 where the target is missing
//
// Exponents are never positive: the maximum is subtracted first, the sign of z is taken off. Sums over samples run in a
// fixed order. Rows trust the values of labels and targets. dtypes: logits f64, f32 or bf16; loss f64 for f64 logits,
// else f32; labels and targets i32; lambda and weights always f64.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct SoftmaxCrossEntropy {
  static constexpr const char* kernel = "softmax_cross_entropy";
  static const Rows<SoftmaxCrossEntropy> cpu, cuda, simt;

  View logits;          // (B, K)
  View labels;          // (B, 2)   i32, from 0 to K - 1; -1 in column 0: no label
  View lambda;          // (B)      f64, the share of the first label
  View class_weight{};  // (K)      f64; null: all 1
  View loss;            // (1)
  View dlogits{};       // (B, K)   written; null: not wanted
  double smoothing = 0;
  double factor = 1;
  Write mode = Write::overwrite;  // of the loss

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("logits", a.logits, Role::input);
    f("labels", a.labels, Role::input);
    f("lambda", a.lambda, Role::input);
    f("class_weight", a.class_weight, Role::input);
    f("loss", a.loss, role_of(a.mode));
    f("dlogits", a.dlogits, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("smoothing", a.smoothing);
    f("factor", a.factor);
    f("mode", a.mode);
  }
};

struct SigmoidCrossEntropy {
  static constexpr const char* kernel = "sigmoid_cross_entropy";
  static const Rows<SigmoidCrossEntropy> cpu, cuda, simt;

  View logits;     // (B, K)
  View targets;    // (B, K)   i32: 1, 0, or -1 for missing
  View weight{};   // (K)      f64; null: all 1
  View loss;       // (1)
  View dlogits{};  // (B, K)   written; null: not wanted
  double factor = 1;
  Write mode = Write::overwrite;  // of the loss

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("logits", a.logits, Role::input);
    f("targets", a.targets, Role::input);
    f("weight", a.weight, Role::input);
    f("loss", a.loss, role_of(a.mode));
    f("dlogits", a.dlogits, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("factor", a.factor);
    f("mode", a.mode);
  }
};

void validate(const SoftmaxCrossEntropy& a);
void validate(const SigmoidCrossEntropy& a);
Cost cost(const SoftmaxCrossEntropy& a);
Cost cost(const SigmoidCrossEntropy& a);

}  // namespace kernels
