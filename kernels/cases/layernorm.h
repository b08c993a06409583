// R rows of C elements; PAD more elements between rows.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/layernorm.h"

namespace kernels {

template <>
struct Case<LayerNormForward> {
  static constexpr const char* tests[] = {"R=1 C=1",    "R=7 C=5",          "R=300 C=64",
                                          "R=65 C=192", "R=37 C=588 PAD=4", "R=9 C=1280"};
  static constexpr const char* bench[] = {"R=12800 C=768", "R=50432 C=512", "R=12800 C=1024", "R=16640 C=1280"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<LayerNormForward> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    const View rows = shaped(t, {R, C}, stride), statistic = shaped(statistics_of(t), {R});
    const LayerNormForward plain{.x = rows, .gamma = shaped(t, {C}), .beta = shaped(t, {C}), .y = rows};
    LayerNormForward saving = plain, residual = plain;
    saving.mean = saving.rstd = statistic;
    residual = saving;
    residual.residual = residual.sum = rows;
    return {plain, saving, residual};
  }
};

template <>
struct Case<LayerNormBackward> {
  static constexpr const char* tests[] = {"R=1 C=5",          "R=7 C=5",     "R=600 C=64", "R=65 C=192",
                                          "R=37 C=588 PAD=4", "R=21 C=1280", "R=700 C=5"};
  static constexpr const char* bench[] = {"R=12800 C=768", "R=50432 C=512", "R=12800 C=1024", "R=16640 C=1280"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<LayerNormBackward> make(const Dims& d, DType t) {
    const std::int64_t R = d["R"], C = d["C"], stride = C + d.get("PAD", 0);
    const View rows = shaped(t, {R, C}, stride), statistic = shaped(statistics_of(t), {R}),
               parameter = shaped(statistics_of(t), {C});
    const LayerNormBackward both{.dy = rows,
                                 .x = rows,
                                 .gamma = shaped(t, {C}),
                                 .mean = statistic,
                                 .rstd = statistic,
                                 .dx = rows,
                                 .dgamma = parameter,
                                 .dbeta = parameter};
    LayerNormBackward only_dx = both, only_parameters = both, adding = both, adding_sum = both;
    only_dx.dgamma = only_dx.dbeta = View{};
    only_parameters.dx = View{};
    adding.dx_sum = adding_sum.dx_sum = parameter;
    adding.dx_mode = adding.parameter_mode = Write::accumulate;
    adding_sum.dgamma = adding_sum.dbeta = View{};
    adding_sum.sum_mode = Write::accumulate;  // dx is overwritten: else the sum is not that of the battery's formula
    return {both, only_dx, only_parameters, adding, adding_sum};
  }
};

}  // namespace kernels
