// Multi-head attention of queries to keys and values, per sample and head:
//
//     S = scale q k^T,   P = softmax(S) by rows,   out = P v,   lse = log sum exp of the rows of S
//
// backward, with P = exp(S - lse) made again from the saved lse (no (Tq, T) matrix reaches memory):
//
//     dv = P^T dout,   dP = dout v^T,   dS = P (dP - rowsum(dout * out)),   dq = scale dS k,   dk = scale dS^T q
//
// C = H D, and head h owns columns h D ... h D + D - 1. Packed queries, keys and values (B, T, 3 C) are three views of
// row stride 3 C into one buffer. Tq = T, but where only some tokens ask: in the last block of MAE's decoder, the
// masked ones.
//
// dbias is the gradient of a bias (3, C) that was added to q, k and v: their column sums. That of k is zero, since the
// rows of dS sum to zero (a softmax does not see what all keys share), and is written as zero.
//
// Saved for backward: q, k, v, out, lse. dtypes: f64, f32 or bf16; lse, dbias f64 for f64 data, else f32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

struct AttentionForward {
  static constexpr const char* kernel = "attention_forward";
  static const Rows<AttentionForward> cpu, cuda, simt;

  View q;            // (B, Tq, C)
  View k;            // (B, T, C)
  View v;            // (B, T, C)
  View out;          // (B, Tq, C)   written
  View lse{};        // (B, H, Tq)   written; null: not wanted
  int heads = 1;     // H
  double scale = 1;  // D^-0.5

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("q", a.q, Role::input);
    f("k", a.k, Role::input);
    f("v", a.v, Role::input);
    f("out", a.out, Role::output);
    f("lse", a.lse, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("heads", a.heads);
    f("scale", a.scale);
  }
};

struct AttentionBackward {
  static constexpr const char* kernel = "attention_backward";
  static const Rows<AttentionBackward> cpu, cuda, simt;

  View q;        // (B, Tq, C)
  View k;        // (B, T, C)
  View v;        // (B, T, C)
  View out;      // (B, Tq, C)
  View lse;      // (B, H, Tq)
  View dout;     // (B, Tq, C)
  View dq;       // (B, Tq, C)   written
  View dk;       // (B, T, C)    written
  View dv;       // (B, T, C)    written
  View dbias{};  // (3, C)       column sums of dq, dk (zero), dv; null: not wanted
  int heads = 1;
  double scale = 1;
  Write bias_mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("q", a.q, Role::input);
    f("k", a.k, Role::input);
    f("v", a.v, Role::input);
    f("out", a.out, Role::input);
    f("lse", a.lse, Role::input);
    f("dout", a.dout, Role::input);
    f("dq", a.dq, Role::output);
    f("dk", a.dk, Role::output);
    f("dv", a.dv, Role::output);
    f("dbias", a.dbias, role_of(a.bias_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("heads", a.heads);
    f("scale", a.scale);
    f("bias_mode", a.bias_mode);
  }
};

/// B samples, Tq queries and T keys of H heads of D elements.
struct AttentionSizes {
  std::int64_t B, Tq, T, H, D;
};
template <class Args>
AttentionSizes sizes_of(const Args& a) {
  return {a.q.shape[0], a.q.shape[1], a.k.shape[1], a.heads, a.q.cols() / a.heads};
}

void validate(const AttentionForward& a);
void validate(const AttentionBackward& a);
Cost cost(const AttentionForward& a);   // 4 Tq T D operations a head: the two products
Cost cost(const AttentionBackward& a);  // 8 Tq T D: dv, dP, dq, dk; making S again is extra work, not needed work

/// For rows that do not make dbias on their way: by column sums of dq and dv, behind them.
std::size_t sum_bias_workspace(const Device& device, const AttentionBackward& a);
void sum_bias(Stream& stream, const AttentionBackward& a, void* scratch);

}  // namespace kernels
