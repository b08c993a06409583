// B samples of a class token and L patch tokens of C channels; PAD more elements between tokens.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/pool.h"

namespace kernels {

struct PoolCase {
  static constexpr const char* tests[] = {"B=1 L=1 C=1",   "B=2 L=7 C=5",     "B=3 L=49 C=64 PAD=3", "B=5 L=9 C=130",
                                          "B=70 L=4 C=33", "B=2 L=196 C=192", "B=2 L=16 C=1280"};
  static constexpr const char* bench[] = {"B=64 L=196 C=768", "B=64 L=256 C=1280", "B=256 L=49 C=192"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static View tokens(const Dims& d, DType t) {
    return shaped(t, {d["B"], 1 + d["L"], d["C"]}, d["C"] + d.get("PAD", 0));
  }
  static View pooled(const Dims& d, DType t) { return shaped(t, {d["B"], d["C"]}); }
};

template <>
struct Case<TokenPoolForward> : PoolCase {
  static std::vector<TokenPoolForward> make(const Dims& d, DType t) {
    const TokenPoolForward mean{.x = tokens(d, t), .out = pooled(d, t)};
    TokenPoolForward cls = mean;
    cls.pooling = Pooling::cls;
    return {mean, cls};
  }
};

template <>
struct Case<TokenPoolBackward> : PoolCase {
  static std::vector<TokenPoolBackward> make(const Dims& d, DType t) {
    const TokenPoolBackward mean{.dout = pooled(d, t), .dx = tokens(d, t)};
    TokenPoolBackward cls = mean, adding = mean, adding_cls = mean;
    cls.pooling = adding_cls.pooling = Pooling::cls;
    adding.dx_mode = adding_cls.dx_mode = Write::accumulate;
    return {mean, cls, adding, adding_cls};
  }
};

}  // namespace kernels
