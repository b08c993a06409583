// B samples of K kept of L patches, C channels a token; PAD more elements between the rows of tokens.
#pragma once

#include "kernels/cases/tokens.h"
#include "kernels/token_merge.h"

namespace kernels {

struct TokenMergeCase : TokenCase {
  static constexpr const char* tests[] = {"B=1 K=1 L=1 C=1",     "B=2 K=2 L=7 C=5",   "B=3 K=12 L=49 C=64 PAD=3",
                                          "B=19 K=2 L=9 C=136",  "B=35 K=4 L=4 C=33", "B=9 K=3 L=8 C=576 PAD=24",
                                          "B=2 K=49 L=196 C=192"};
  static constexpr const char* bench[] = {"B=64 K=49 L=196 C=1536", "B=64 K=64 L=256 C=1536",
                                          "B=1024 K=49 L=196 C=1536"};
};

template <>
struct Case<TokenMergeForward> : TokenMergeCase {
  static std::vector<TokenMergeForward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    return {
        {.x = s.tokens(1 + s.K), .table = shaped(t, {s.L, s.C}, s.stride), .rank = s.rank(), .out = s.tokens(1 + s.L)}};
  }
  static void fill(TokenMergeForward& a) { fill_permutations(a.rank, {}, a.rank.cols()); }
};

template <>
struct Case<TokenMergeBackward> : TokenMergeCase {
  static std::vector<TokenMergeBackward> make(const Dims& d, DType t) {
    const TokenSizes s(d, t);
    const TokenMergeBackward all{.dout = s.tokens(1 + s.L),
                                 .rank = s.rank(),
                                 .ids = s.ids(),
                                 .dx = s.tokens(1 + s.K),
                                 .dtable = shaped(t, {s.L, s.C}, s.stride)};
    TokenMergeBackward only_dx = all;
    only_dx.dtable = View{};
    only_dx.ids.row_stride = s.K;
    return {all, only_dx};
  }
  static void fill(TokenMergeBackward& a) { fill_permutations(a.rank, a.ids, a.rank.cols()); }
};

}  // namespace kernels
