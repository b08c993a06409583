// adamw: N elements in S segments of about equal length, every third of them frozen. step_advance: a ring of N losses.
#pragma once

#include <cmath>

#include "kernels/cases/case.h"
#include "kernels/optimizer.h"

namespace kernels {

template <>
struct Case<AdamW> {
  static constexpr const char* tests[] = {"N=1 S=1", "N=7 S=3", "N=4096 S=1", "N=20011 S=5"};
  static constexpr const char* bench[] = {"N=111907840 S=250", "N=329541888 S=400"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<AdamW> make(const Dims& d, DType t) {
    const std::int64_t S = d["S"];
    const View flat = shaped(t, {d["N"]});
    const AdamW plain{.gradient = flat,
                      .schedule = shaped(DType::f64, {6, 3}),
                      .step = shaped(DType::u32, {1}),
                      .finite = shaped(DType::i32, {1}),
                      .clip = shaped(t, {1}),
                      .bounds = shaped(DType::u32, {S + 1}),
                      .lr_scale = shaped(DType::f64, {S}),
                      .weight_decay = shaped(DType::f64, {S}),
                      .master = flat,
                      .moment1 = flat,
                      .moment2 = flat};
    AdamW slow = plain, rounding = plain;
    slow.beta2 = 0.999, slow.eps = 1e-6;
    rounding.compute = shaped(DType::bf16, {d["N"]});
    if (t == DType::f64) return {plain, slow};
    return {plain, slow, rounding};
  }

  static void fill(AdamW& a) {
    const std::int64_t N = a.gradient.cols(), S = a.lr_scale.cols();
    for (std::int64_t s = 0; s < a.schedule.rows(); ++s) {
      const double t = static_cast<double>(s + 1);
      double* row = a.schedule.row<double>(s);
      row[0] = 1e-2 * t, row[1] = 1 - std::pow(a.beta1, t), row[2] = 1 - std::pow(a.beta2, t);
    }
    a.step.as<std::uint32_t>()[0] = 4;
    a.finite.as<std::int32_t>()[0] = 1;
    a.clip.as<double>()[0] = 0.7;
    for (std::int64_t i = 0; i <= S; ++i) a.bounds.as<std::uint32_t>()[i] = static_cast<std::uint32_t>(N * i / S);
    for (std::int64_t i = 0; i < S; ++i) {
      a.lr_scale.as<double>()[i] = i % 3 == 1 ? 0 : 1 / static_cast<double>(i + 1);
      a.weight_decay.as<double>()[i] = i % 2 ? 0 : 0.05;
    }
    for (std::int64_t i = 0; i < N; ++i) a.moment2.as<double>()[i] *= a.moment2.as<double>()[i];
  }
};

template <>
struct Case<StepGuard> {
  static constexpr const char* tests[] = {"N=1"};
  static constexpr const char* bench[] = {"N=1"};
  static constexpr bool scalars_only = true;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<StepGuard> make(const Dims&, DType t) {
    const View one = shaped(t, {1});
    StepGuard none{.loss = one, .squared_norm = one, .finite = shaped(DType::i32, {1}), .clip = one};
    StepGuard tight = none, loose = none;
    tight.max_norm = 0.02, loose.max_norm = 1e6;
    return {none, tight, loose};
  }
  static void fill(StepGuard& a) {
    a.squared_norm.as<double>()[0] *= a.squared_norm.as<double>()[0];
    a.finite.as<std::int32_t>()[0] = a.max_norm < 1;  // the loose one comes after a step that was not finite
  }
};

template <>
struct Case<StepAdvance> {
  static constexpr const char* tests[] = {"N=1", "N=7", "N=100"};
  static constexpr const char* bench[] = {"N=64"};
  static constexpr bool scalars_only = true;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<StepAdvance> make(const Dims& d, DType t) {
    return {{.loss = shaped(t, {1}),
             .finite = shaped(DType::i32, {1}),
             .step = shaped(DType::u32, {1}),
             .losses = shaped(t, {d["N"]})}};
  }
  static void fill(StepAdvance& a) { a.finite.as<std::int32_t>()[0] = 1; }
  static bool may_grow(const std::string& field) { return field == "losses"; }
};

}  // namespace kernels
