// B samples of L patches; PAD more elements between rows.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/masking.h"

namespace kernels {

template <>
struct Case<MaskRanks> {
  static constexpr const char* tests[] = {"B=1 L=1", "B=3 L=7", "B=5 L=49", "B=9 L=196 PAD=12", "B=2 L=1025"};
  static constexpr const char* bench[] = {"B=256 L=49", "B=64 L=196", "B=64 L=256"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f32}; }  // integers only: the dtype says nothing here

  static std::vector<MaskRanks> make(const Dims& d, DType) {
    const std::int64_t B = d["B"], L = d["L"], stride = L + d.get("PAD", 0);
    const View table = shaped(DType::i32, {B, L}, stride);
    MaskRanks plain{.draws = shaped(DType::u32, {B, 2}), .rank = table, .ids = table}, other = plain;
    other.seed = 0xfeedbeefu;
    other.subindex = 3;
    return {plain, other};
  }
};

}  // namespace kernels
