// N elements in S segments of about equal length, every third of them frozen, with trust in no, in some, or in all.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/momentum.h"

namespace kernels {

template <>
struct Case<Momentum> {
  static constexpr const char* tests[] = {"N=1 S=1", "N=7 S=3", "N=4096 S=1", "N=20011 S=5"};
  static constexpr const char* bench[] = {"N=769024 S=2", "N=111907840 S=250"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<Momentum> make(const Dims& d, DType t) {
    const std::int64_t S = d["S"];
    const View flat = shaped(t, {d["N"]}), each = shaped(DType::f64, {S});
    const Momentum plain{.gradient = flat,
                         .schedule = shaped(DType::f64, {6, 3}),
                         .step = shaped(DType::u32, {1}),
                         .finite = shaped(DType::i32, {1}),
                         .clip = shaped(t, {1}),
                         .bounds = shaped(DType::u32, {S + 1}),
                         .lr_scale = each,
                         .weight_decay = each,
                         .trust = each,
                         .master = flat,
                         .moment = flat};
    Momentum slow = plain, rounding = plain;
    slow.momentum = 0.99;
    rounding.compute = shaped(DType::bf16, {d["N"]});
    if (t == DType::f64) return {plain, slow};
    return {plain, slow, rounding};
  }

  static void fill(Momentum& a) {
    const std::int64_t N = a.gradient.cols(), S = a.lr_scale.cols();
    for (std::int64_t s = 0; s < a.schedule.rows(); ++s)
      a.schedule.row<double>(s)[0] = 0.1 * static_cast<double>(s + 1);
    a.step.as<std::uint32_t>()[0] = 4;
    a.finite.as<std::int32_t>()[0] = 1;
    a.clip.as<double>()[0] = 0.7;
    for (std::int64_t i = 0; i <= S; ++i) a.bounds.as<std::uint32_t>()[i] = static_cast<std::uint32_t>(N * i / S);
    for (std::int64_t i = 0; i < S; ++i) {
      a.lr_scale.as<double>()[i] = i % 3 == 1 ? 0 : 1 / static_cast<double>(i + 1);
      a.weight_decay.as<double>()[i] = i % 2 ? 0 : 0.05;
      a.trust.as<double>()[i] = a.momentum < 0.95 && i % 4 < 2 ? 0.01 * static_cast<double>(i + 1) : 0;
    }
  }
};

}  // namespace kernels
