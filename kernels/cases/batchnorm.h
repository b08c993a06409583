// B samples of C features; PAD more elements between rows. Running variances are squares.
#pragma once

#include "kernels/batchnorm.h"
#include "kernels/cases/case.h"

namespace kernels {

template <>
struct Case<BatchNormForward> {
  static constexpr const char* tests[] = {"B=2 C=1", "B=7 C=5", "B=65 C=64", "B=33 C=130 PAD=3", "B=300 C=40"};
  static constexpr const char* bench[] = {"B=512 C=192", "B=512 C=768", "B=16384 C=1280"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<BatchNormForward> make(const Dims& d, DType t) {
    const View rows = shaped(t, {d["B"], d["C"]}, d["C"] + d.get("PAD", 0)),
               statistic = shaped(statistics_of(t), {d["C"]});
    const BatchNormForward plain{.x = rows, .y = rows};
    BatchNormForward saving = plain, training = plain, evaluation = plain;
    saving.mean = saving.rstd = statistic;
    evaluation.running_mean = evaluation.running_var = statistic;
    evaluation.mode = BatchNormMode::evaluation;
    training = saving;
    training.running_mean = training.running_var = training.next_mean = training.next_var = statistic;
    training.eps = 1e-6, training.momentum = 0.3;
    return {training, evaluation, saving, plain};
  }
  static void fill(BatchNormForward& a) {
    for (std::int64_t c = 0; c < a.running_var.cols(); ++c) {
      double& variance = a.running_var.as<double>()[c];
      variance = 0.1 + variance * variance;
    }
  }
};

template <>
struct Case<BatchNormBackward> {
  static constexpr auto& tests = Case<BatchNormForward>::tests;
  static constexpr auto& bench = Case<BatchNormForward>::bench;
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return Case<BatchNormForward>::dtypes(); }

  static std::vector<BatchNormBackward> make(const Dims& d, DType t) {
    const View rows = shaped(t, {d["B"], d["C"]}, d["C"] + d.get("PAD", 0)),
               statistic = shaped(statistics_of(t), {d["C"]});
    const BatchNormBackward training{.dy = rows, .x = rows, .mean = statistic, .rstd = statistic, .dx = rows};
    BatchNormBackward evaluation = training, adding = training;
    evaluation.mode = BatchNormMode::evaluation;
    adding.dx_mode = Write::accumulate;
    return {training, evaluation, adding};
  }
};

}  // namespace kernels
