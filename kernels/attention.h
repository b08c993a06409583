// Multi-head self-attention over packed queries, keys and values, per sample and head:
//
//     S = scale q k^T,   P = softmax(S) by rows,   out = P v,   lse = log sum exp of the rows of S
//
// backward, with P = exp(S - lse) made again from the saved lse (no (T, T) matrix reaches memory):
//
//     dv = P^T dout,   dP = dout v^T,   dS = P (dP - rowsum(dout * out)),   dq = scale dS k,   dk = scale dS^T q
//
// Saved for backward: qkv, out, lse. dtypes: f64, f32 or bf16; lse f64 for f64 data, else f32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct AttentionForward {
  static constexpr const char* kernel = "attention_forward";
  static const Rows<AttentionForward> cpu, cuda, simt;

  View qkv;          // (B, T, 3, H, D)
  View out;          // (B, T, H, D)      written
  View lse{};        // (B, H, T)         written; null: not wanted
  double scale = 1;  // D^-0.5

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("qkv", a.qkv, Role::input);
    f("out", a.out, Role::output);
    f("lse", a.lse, Role::output);
  }
};

struct AttentionBackward {
  static constexpr const char* kernel = "attention_backward";
  static const Rows<AttentionBackward> cpu, cuda, simt;

  View qkv;   // (B, T, 3, H, D)
  View out;   // (B, T, H, D)
  View lse;   // (B, H, T)
  View dout;  // (B, T, H, D)
  View dqkv;  // (B, T, 3, H, D)   written
  double scale = 1;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("qkv", a.qkv, Role::input);
    f("out", a.out, Role::input);
    f("lse", a.lse, Role::input);
    f("dout", a.dout, Role::input);
    f("dqkv", a.dqkv, Role::output);
  }
};

void validate(const AttentionForward& a);
void validate(const AttentionBackward& a);
Cost cost(const AttentionForward& a);   // 4 T^2 D operations a head: the two products
Cost cost(const AttentionBackward& a);  // 8 T^2 D: dv, dP, dq, dk; making S again is extra work, not needed work

}  // namespace kernels
