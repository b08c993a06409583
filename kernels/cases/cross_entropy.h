// B samples of K classes; PAD more elements between rows.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/cross_entropy.h"

namespace kernels {

struct CrossEntropyCase {
  static constexpr const char* tests[] = {"B=1 K=1",   "B=3 K=2",    "B=7 K=10 PAD=3", "B=5 K=37",
                                          "B=70 K=40", "B=9 K=1000", "B=6 K=1096"};
  static constexpr const char* bench[] = {"B=64 K=1000", "B=1024 K=1000", "B=1024 K=10"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static View logits(const Dims& d, DType t) { return shaped(t, {d["B"], d["K"]}, d["K"] + d.get("PAD", 0)); }
  static View loss(DType t) { return shaped(statistics_of(t), {1}); }
  static View weights(const Dims& d) { return shaped(DType::f64, {d["K"]}); }
  /// From 0.5 to 2: weights are not negative.
  static void fill_weights(const View& v) {
    for (std::int64_t k = 0; k < v.cols(); ++k) v.as<double>()[k] = 0.5 + 0.25 * static_cast<double>(k % 7);
  }
};

/// Every fifth sample but the first has no label; every third has one alone.
template <>
struct Case<SoftmaxCrossEntropy> : CrossEntropyCase {
  static std::vector<SoftmaxCrossEntropy> make(const Dims& d, DType t) {
    const SoftmaxCrossEntropy plain{.logits = logits(d, t),
                                    .labels = shaped(DType::i32, {d["B"], 2}, 2 + d.get("PAD", 0)),
                                    .lambda = shaped(DType::f64, {d["B"]}),
                                    .loss = loss(t),
                                    .dlogits = logits(d, t),
                                    .factor = 1 / static_cast<double>(d["B"])};
    SoftmaxCrossEntropy smooth = plain, weighted = plain;
    smooth.smoothing = weighted.smoothing = 0.1;
    smooth.dlogits.row_stride += 1;  // rows that no pack fits, beside those of logits
    weighted.class_weight = weights(d);
    SoftmaxCrossEntropy only_loss = weighted;
    weighted.mode = Write::accumulate;
    only_loss.dlogits = View{};
    return {plain, smooth, weighted, only_loss};
  }
  static void fill(SoftmaxCrossEntropy& a) {
    const auto K = static_cast<std::int32_t>(a.logits.cols());
    for (std::int64_t b = 0; b < a.labels.rows(); ++b) {
      const auto i = static_cast<std::int32_t>(b);
      std::int32_t* labels = a.labels.row<std::int32_t>(b);
      labels[0] = b % 5 == 4 ? -1 : (7 * i + 1) % K;
      labels[1] = b % 3 == 2 ? -1 : (5 * i + 1) % K;  // the same, in the first sample
      a.lambda.as<double>()[b] = b % 3 == 2 ? 1 : 0.3 + 0.1 * static_cast<double>(b % 7);
    }
    fill_weights(a.class_weight);
  }
};

template <>
struct Case<SigmoidCrossEntropy> : CrossEntropyCase {
  static std::vector<SigmoidCrossEntropy> make(const Dims& d, DType t) {
    const SigmoidCrossEntropy plain{.logits = logits(d, t),
                                    .targets = shaped(DType::i32, {d["B"], d["K"]}, d["K"] + d.get("PAD", 0)),
                                    .loss = loss(t),
                                    .dlogits = logits(d, t),
                                    .factor = 1 / static_cast<double>(d["B"] * d["K"])};
    SigmoidCrossEntropy weighted = plain, only_loss = plain;
    weighted.weight = weights(d);
    weighted.mode = Write::accumulate;
    only_loss.dlogits = View{};
    return {plain, weighted, only_loss};
  }
  static void fill(SigmoidCrossEntropy& a) {
    for (std::int64_t b = 0; b < a.targets.rows(); ++b) {
      for (std::int64_t k = 0; k < a.targets.cols(); ++k)
        a.targets.row<std::int32_t>(b)[k] = (b + k) % 4 == 3 ? -1 : (3 * b + 5 * k + 1) % 7 % 2;
    }
  }
};

}  // namespace kernels
