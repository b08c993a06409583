// column_sum: R rows of C elements, PAD more elements between rows. squared_norm: N elements.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/reduce.h"

namespace kernels {

template <>
struct Case<ColumnSum> {
  static constexpr const char* tests[] = {"R=1 C=1",     "R=7 C=5",          "R=1000 C=64",
                                          "R=257 C=192", "R=37 C=588 PAD=4", "R=512 C=3072"};
  static constexpr const char* bench[] = {"R=12800 C=3072", "R=12800 C=768", "R=50432 C=512", "R=50176 C=588 PAD=4"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<ColumnSum> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    const ColumnSum plain{.x = shaped(t, {R, C}, stride), .out = shaped(statistics_of(t), {C})};
    ColumnSum adding = plain;
    adding.mode = Write::accumulate;
    return {plain, adding};
  }
};

template <>
struct Case<SquaredNorm> {
  static constexpr const char* tests[] = {"N=1", "N=7", "N=1000", "N=65536", "N=200001"};
  static constexpr const char* bench[] = {"N=111907840", "N=329541888"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<SquaredNorm> make(const Dims& d, DType t) {
    return {{.x = shaped(t, {d["N"]}), .out = shaped(statistics_of(t), {1})}};
  }
  static bool may_grow(const std::string& field) { return field == "x"; }
};

}  // namespace kernels
