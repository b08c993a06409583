// What the rows of the losses on the CPU share: the formulas of kernels/loss.h for one patch of P values.
#pragma once

#include <cmath>

#include "kernels/loss.h"

namespace kernels::cpu {

/// Mean and 1 / standard deviation of a target patch; raw pixels have 0 and 1.
template <class Sum>
struct Spread {
  Sum mean = 0, rstd = 1;
};

// ---- reference ------------------------------------------------------------------------------------------------------

template <class Target>
Spread<Statistics<Target>> spread_of(const Target* target, std::int64_t P, double eps) {
  using Sum = Statistics<Target>;
  Sum mean = 0, variance = 0;
  for (std::int64_t p = 0; p < P; ++p) mean += Sum(target[p]);
  mean /= Sum(P);
  for (std::int64_t p = 0; p < P; ++p) variance += (Sum(target[p]) - mean) * (Sum(target[p]) - mean);
  return {mean, Sum(1) / std::sqrt(variance / Sum(P - 1) + Sum(eps))};
}

template <class T, class Target>
Statistics<T> squared_error(const T* pred, const Target* target, std::int64_t P, Spread<Statistics<T>> s) {
  using Sum = Statistics<T>;
  Sum sum = 0;
  for (std::int64_t p = 0; p < P; ++p) {
    const Sum difference = Sum(pred[p]) - (Sum(target[p]) - s.mean) * s.rstd;
    sum += difference * difference;
  }
  return sum;
}

template <class T, class Target>
void gradient(const T* pred, const Target* target, std::int64_t P, Spread<Statistics<T>> s, double scale, T* dpred) {
  using Sum = Statistics<T>;
  for (std::int64_t p = 0; p < P; ++p) {
    dpred[p] = T(Sum(2 * scale) * (Sum(pred[p]) - (Sum(target[p]) - s.mean) * s.rstd));
  }
}

// ---- fast: the same for f32, vectorised along the patch; loss.cpp ---------------------------------------------------

Spread<float> spread_of_fast(const float* target, std::int64_t P, double eps);
float squared_error_fast(const float* pred, const float* target, std::int64_t P, Spread<float> s);
void gradient_fast(const float* pred, const float* target, std::int64_t P, Spread<float> s, double scale, float* dpred);

// ---- which of the two, for the walks over patches -------------------------------------------------------------------

template <class T, class Target>
struct Plain {
  static constexpr auto spread = spread_of<Target>;
  static constexpr auto error = squared_error<T, Target>;
  static constexpr auto slope = gradient<T, Target>;
};
struct Fast {
  static constexpr auto spread = spread_of_fast;
  static constexpr auto error = squared_error_fast;
  static constexpr auto slope = gradient_fast;
};

}  // namespace kernels::cpu
