// N elements.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/moving_average.h"

namespace kernels {

template <>
struct Case<MovingAverage> {
  static constexpr const char* tests[] = {"N=1", "N=7", "N=4096", "N=20011"};
  static constexpr const char* bench[] = {"N=85798656", "N=303301632"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<MovingAverage> make(const Dims& d, DType t) {
    const View flat = shaped(t, {d["N"]});
    const MovingAverage slow{.x = flat, .finite = shaped(DType::i32, {1}), .average = flat, .decay = 0.9};
    MovingAverage copy = slow, still = slow;
    copy.decay = 0, still.decay = 1;
    return {slow, copy, still};
  }
  static void fill(MovingAverage& a) { a.finite.as<std::int32_t>()[0] = 1; }
};

}  // namespace kernels
