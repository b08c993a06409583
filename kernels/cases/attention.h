// B samples of T tokens, H heads of D elements; Tq queries where not T; PAD more elements between rows.
#pragma once

#include <cmath>

#include "kernels/attention.h"
#include "kernels/cases/case.h"

namespace kernels {

namespace attention_cases {

inline constexpr const char* tests[] = {
    "B=1 T=1 H=1 D=1",          "B=2 T=5 H=3 D=7",           "B=2 T=10 H=2 D=16",           "B=2 T=50 H=3 D=32",
    "B=1 T=65 H=2 D=80",        "B=1 T=197 H=2 D=48 PAD=8",  "B=1 T=257 H=1 D=80",          "B=2 T=21 Tq=13 H=2 D=32",
    "B=1 T=50 H=1 D=64",        "B=1 T=197 H=1 D=32",        "B=1 T=257 H=1 D=32",          "B=1 T=197 Tq=147 H=1 D=32",
    "B=1 T=197 H=1 D=64",       "B=1 T=1025 Tq=17 H=1 D=32", "B=1 T=17 Tq=1025 H=1 D=32",   "B=1 T=147 Tq=1 H=2 D=64",
    "B=1 T=18 Tq=130 H=1 D=64", "B=1 T=66 Tq=18 H=1 D=128",  "B=2 T=2 Tq=65 H=2 D=24 PAD=8"};
inline constexpr const char* bench[] = {"B=64 T=50 H=12 D=64",  "B=64 T=65 H=16 D=80",  "B=64 T=197 H=16 D=32",
                                        "B=64 T=257 H=16 D=32", "B=64 T=50 H=4 D=32",   "B=64 T=197 Tq=147 H=16 D=32",
                                        "B=64 T=197 H=12 D=64", "B=16 T=1025 H=12 D=64"};

struct Views {
  View query;  // (B, Tq, C)
  View key;    // (B, T, C)
  View lse;    // (B, H, Tq)
  int heads;
  double scale;
};

inline Views views(const Dims& d, DType t) {
  const std::int64_t B = d["B"], T = d["T"], Tq = d.get("Tq", T), H = d["H"], C = H * d["D"];
  return {.query = shaped(t, {B, Tq, C}, C + d.get("PAD", 0)),
          .key = shaped(t, {B, T, C}, C + d.get("PAD", 0)),
          .lse = shaped(statistics_of(t), {B, H, Tq}),
          .heads = static_cast<int>(H),
          .scale = 1 / std::sqrt(static_cast<double>(d["D"]))};
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
    AttentionForward plain{.q = v.query, .k = v.key, .v = v.key, .out = v.query, .heads = v.heads, .scale = v.scale},
        saving = plain;
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
    AttentionBackward plain{.q = v.query,
                            .k = v.key,
                            .v = v.key,
                            .out = v.query,
                            .lse = v.lse,
                            .dout = v.query,
                            .dq = v.query,
                            .dk = v.key,
                            .dv = v.key,
                            .heads = v.heads,
                            .scale = v.scale},
        summing = plain;
    summing.dbias = shaped(statistics_of(t), {3, v.query.cols()});
    summing.bias_mode = Write::accumulate;
    return {plain, summing};
  }

  /// out and lse are what forward gives for these q, k and v.
  static void fill(AttentionBackward& a) {
    const AttentionForward forward{
        .q = a.q, .k = a.k, .v = a.v, .out = a.out, .lse = a.lse, .heads = a.heads, .scale = a.scale};
    Stream stream(find_device("cpu"));
    const Variant<AttentionForward>& row = choose(stream.device(), forward, "reference");
    std::vector<double> scratch(row.workspace(stream.device(), forward) / sizeof(double));
    row.run(stream, forward, scratch.data());
  }
};

}  // namespace kernels
