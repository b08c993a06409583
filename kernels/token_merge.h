// One sequence out of two: kept tokens from x, all others from a table with a row for every patch, the same for all
// samples. Where every masked token of a layer is the same in all samples but for its position, as in the decoder's
// first block, the layer is computed once for the table and once for the kept tokens, and merged here.
//
// ids and rank are those of kernels/tokens.h, and trusted like there: a patch is kept when its rank is below K.
// dtypes: f64, f32 or bf16, all alike, the table's gradient too; ids and rank i32.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

/// out[b, 0] = x[b, 0], and for every patch l: out[b, 1 + l] = rank[b, l] < K ? x[b, 1 + rank[b, l]] : table[l].
struct TokenMergeForward {
  static constexpr const char* kernel = "token_merge_forward";
  static const Rows<TokenMergeForward> cpu, cuda, simt;

  View x;      // (B, 1 + K, C)   class token, then the kept patches in their shuffled order
  View table;  // (L, C)
  View rank;   // (B, L)          i32
  View out;    // (B, 1 + L, C)   written

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("table", a.table, Role::input);
    f("rank", a.rank, Role::input);
    f("out", a.out, Role::output);
  }
};

/// dx[b, 0] = dout[b, 0], dx[b, 1 + k] = dout[b, 1 + ids[b, k]]; dtable[l] = sum of dout[b, 1 + l] over the samples b,
/// in order, with rank[b, l] >= K; summed in f32, or f64 for f64 data, and rounded once.
struct TokenMergeBackward {
  static constexpr const char* kernel = "token_merge_backward";
  static const Rows<TokenMergeBackward> cpu, cuda, simt;

  View dout;      // (B, 1 + L, C)
  View rank;      // (B, L)          i32
  View ids;       // (B, K)          i32
  View dx{};      // (B, 1 + K, C)   written; null: not wanted
  View dtable{};  // (L, C)          written; null: not wanted

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("rank", a.rank, Role::input);
    f("ids", a.ids, Role::input);
    f("dx", a.dx, Role::output);
    f("dtable", a.dtable, Role::output);
  }
};

void validate(const TokenMergeForward& a);
void validate(const TokenMergeBackward& a);
Cost cost(const TokenMergeForward& a);
Cost cost(const TokenMergeBackward& a);

}  // namespace kernels
