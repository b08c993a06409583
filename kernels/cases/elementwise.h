// R rows of C elements; PAD more elements between rows.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/elementwise.h"

namespace kernels {

template <>
struct Case<Fill> {
  static constexpr const char* tests[] = {"R=1 C=1", "R=7 C=5", "R=1 C=40000", "R=37 C=588 PAD=4"};
  static constexpr const char* bench[] = {"R=1 C=111907840", "R=12800 C=768"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<Fill> make(const Dims& d, DType t) {
    const View out = shaped(t, {d["R"], d["C"]}, d["C"] + d.get("PAD", 0));
    return {{.out = out}, {.out = out, .value = -0.1}};
  }
};

template <>
struct Case<Cast> {
  static constexpr const char* tests[] = {"R=1 C=1", "R=7 C=5", "R=1 C=40000", "R=37 C=588 PAD=4"};
  static constexpr const char* bench[] = {"R=1 C=111907840", "R=50176 C=588 PAD=4"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<Cast> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    std::vector<Cast> to_each;
    for (DType to : dtypes()) to_each.push_back({.x = shaped(t, {R, C}, stride), .out = shaped(to, {R, C})});
    return to_each;
  }
};

template <>
struct Case<Accumulate> {
  static constexpr const char* tests[] = {"R=1 C=1", "R=7 C=5", "R=1 C=40000", "R=37 C=588 PAD=4"};
  static constexpr const char* bench[] = {"R=1 C=111907840", "R=12800 C=768"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<Accumulate> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    return {{.x = shaped(t, {R, C}, stride), .out = shaped(t, {R, C}, stride)},
            {.x = shaped(t, {R, C}), .out = shaped(t, {R, C}, stride)}};
  }
};

template <>
struct Case<AddRow> {
  static constexpr const char* tests[] = {"R=1 C=1", "R=7 C=5", "R=2 C=40000", "R=37 C=588 PAD=4", "R=9 C=64"};
  static constexpr const char* bench[] = {"R=196 C=512", "R=12608 C=512"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<AddRow> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    return {{.x = shaped(t, {R, C}, stride), .row = shaped(t, {1, C}), .out = shaped(t, {R, C}, stride)},
            {.x = shaped(t, {R, C}, stride), .row = shaped(t, {C}), .out = shaped(t, {R, C})}};
  }
};

}  // namespace kernels
