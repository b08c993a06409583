// B samples of T tokens of C channels, of which every third is dropped; PAD more elements between tokens.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/drop_path.h"

namespace kernels {

struct DropPathCase {
  static constexpr const char* tests[] = {"B=1 T=1 C=1",   "B=4 T=3 C=5",     "B=3 T=50 C=64 PAD=3", "B=5 T=9 C=130",
                                          "B=70 T=4 C=33", "B=2 T=197 C=192", "B=2 T=17 C=1280"};
  static constexpr const char* bench[] = {"B=64 T=197 C=768", "B=64 T=257 C=1280", "B=256 T=50 C=192"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static View tokens(const Dims& d, DType t) { return shaped(t, {d["B"], d["T"], d["C"]}, d["C"] + d.get("PAD", 0)); }
  /// With PAD, a column of a table of two.
  static View keep(const Dims& d) { return shaped(DType::i32, {d["B"], 1}, d.get("PAD", 0) > 0 ? 2 : 1); }
  static void fill(const View& keep) {
    for (std::int64_t b = 0; b < keep.rows(); ++b) keep.row<std::int32_t>(b)[0] = b % 3 != 1;
  }
};

template <>
struct Case<DropPathForward> : DropPathCase {
  static std::vector<DropPathForward> make(const Dims& d, DType t) {
    const View x = tokens(d, t);
    return {{.x = x, .branch = x, .keep = keep(d), .out = x, .scale = 1 / 0.9},
            {.x = x, .branch = shaped(t, x.shape), .keep = keep(d), .out = x}};
  }
  static void fill(DropPathForward& a) { DropPathCase::fill(a.keep); }
};

template <>
struct Case<DropPathBackward> : DropPathCase {
  static std::vector<DropPathBackward> make(const Dims& d, DType t) {
    return {{.dout = tokens(d, t), .keep = keep(d), .dbranch = tokens(d, t), .scale = 1 / 0.9}};
  }
  static void fill(DropPathBackward& a) { DropPathCase::fill(a.keep); }
};

}  // namespace kernels
