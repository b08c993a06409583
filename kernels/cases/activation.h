// R rows of C elements; PAD more elements between rows.
#pragma once

#include "kernels/activation.h"
#include "kernels/cases/case.h"

namespace kernels {

namespace activation_cases {

inline constexpr const char* tests[] = {"R=1 C=1",    "R=7 C=5",          "R=65 C=768",
                                        "R=3 C=9001", "R=37 C=588 PAD=4", "R=300 C=40 PAD=8"};
inline constexpr const char* bench[] = {"R=12800 C=3072", "R=12608 C=2048", "R=12800 C=4096", "R=16640 C=5120"};

}  // namespace activation_cases

template <>
struct Case<GeluForward> {
  static constexpr const auto& tests = activation_cases::tests;
  static constexpr const auto& bench = activation_cases::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<GeluForward> make(const Dims& d, DType t) {
    const View rows = shaped(t, {d["R"], d["C"]}, d["C"] + d.get("PAD", 0));
    return {{.x = rows, .y = rows}};
  }
};

template <>
struct Case<GeluBackward> {
  static constexpr const auto& tests = activation_cases::tests;
  static constexpr const auto& bench = activation_cases::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<GeluBackward> make(const Dims& d, DType t) {
    const View rows = shaped(t, {d["R"], d["C"]}, d["C"] + d.get("PAD", 0));
    const GeluBackward alone{.dy = rows, .x = rows, .dx = rows};
    GeluBackward with_sum = alone, adding = alone;
    with_sum.dx_sum = adding.dx_sum = shaped(statistics_of(t), {d["C"]});
    adding.sum_mode = Write::accumulate;
    return {alone, with_sum, adding};
  }
};

}  // namespace kernels
