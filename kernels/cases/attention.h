// B samples of T tokens, H heads of D elements; PAD more elements between the rows of D.
#pragma once

#include <cmath>

#include "kernels/attention.h"
#include "kernels/cases/case.h"

namespace kernels {

namespace attention_cases {

inline constexpr const char* tests[] = {"B=1 T=1 H=1 D=1",   "B=2 T=5 H=3 D=7",   "B=2 T=10 H=2 D=16",
                                        "B=2 T=50 H=3 D=32", "B=1 T=65 H=2 D=80", "B=1 T=197 H=2 D=48 PAD=4",
                                        "B=1 T=257 H=1 D=80"};
inline constexpr const char* bench[] = {"B=64 T=50 H=4 D=32",   "B=64 T=50 H=12 D=64", "B=16 T=197 H=16 D=32",
                                        "B=64 T=197 H=12 D=64", "B=64 T=65 H=16 D=80", "B=64 T=257 H=16 D=32"};

struct Views {
  View packed;  // (B, T, 3, H, D)
  View tokens;  // (B, T, H, D)
  View lse;     // (B, H, T)
  double scale;
};

inline Views views(const Dims& d, DType t) {
  const std::int64_t B = d["B"], T = d["T"], H = d["H"], D = d["D"], stride = D + d.get("PAD", 0);
  return {.packed = shaped(t, {B, T, 3, H, D}, stride),
          .tokens = shaped(t, {B, T, H, D}, stride),
          .lse = shaped(statistics_of(t), {B, H, T}),
          .scale = 1 / std::sqrt(static_cast<double>(D))};
}

}  // namespace attention_cases

template <>
struct Case<AttentionForward> {
  static constexpr const auto& tests = attention_cases::tests;
  static constexpr const auto& bench = attention_cases::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<AttentionForward> make(const Dims& d, DType t) {
    const auto v = attention_cases::views(d, t);
    AttentionForward plain{.qkv = v.packed, .out = v.tokens, .scale = v.scale}, saving = plain;
    saving.lse = v.lse;
    return {plain, saving};
  }
};

template <>
struct Case<AttentionBackward> {
  static constexpr const auto& tests = attention_cases::tests;
  static constexpr const auto& bench = attention_cases::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<AttentionBackward> make(const Dims& d, DType t) {
    const auto v = attention_cases::views(d, t);
    return {{.qkv = v.packed, .out = v.tokens, .lse = v.lse, .dout = v.tokens, .dqkv = v.packed, .scale = v.scale}};
  }

  /// out and lse are what forward gives for this qkv.
  static void fill(AttentionBackward& a) {
    const AttentionForward forward{.qkv = a.qkv, .out = a.out, .lse = a.lse, .scale = a.scale};
    Stream stream(find_device("cpu"));
    const Variant<AttentionForward>& row = choose(stream.device(), forward, "reference");
    std::vector<double> scratch(row.workspace(stream.device(), forward) / sizeof(double));
    row.run(stream, forward, scratch.data());
  }
};

}  // namespace kernels
