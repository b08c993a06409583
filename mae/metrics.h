// What a classifier's logits are worth. All sums are in f64, in the order of the samples, on the host.
//
// One label a sample: labels 0 <= y < K, -1: not known, left out.
//     loss               mean of log sum_k exp z_k - z_y
//     rank of y          #{k : z_k > z_y} + #{k < y : z_k = z_y}: of equal logits the lower class comes first, so a
//                        constant row is right for class 0 alone
//     top-1, top-5       share of ranks below 1, below 5; of at most five classes, top-5 is 100 %
//     recall of k        share of the samples of class k whose largest logit, the first of equal ones, is k's
//     balanced accuracy  mean recall of the classes that occur
//
// Any number of labels a sample: targets 1 and 0, -1: not known, left out class by class.
//     AUROC              P(z of a positive > z of a negative) + P(equal) / 2, from ranks (ties: the mean rank):
//                        (sum of the positives' ranks - p (p + 1) / 2) / (p n), p positives and n negatives
//     average precision  sum over the distinct logits t, falling, of (recall(t) - recall(before)) precision(t), where
//                        z >= t counts as found; no interpolation (scikit-learn's definition)
//     F1                 2 TP / (2 TP + FP + FN), z > 0 counts as found
// A class without a known positive, or without a known negative, has no AUROC; without a positive it has neither
// average precision nor F1. It is left out of the means and listed: no number here is ever NaN. (scikit-learn's means
// take such a class's average precision and F1 as 0.)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/core/view.h"

namespace mae {

struct SingleLabelMetrics {
  std::int64_t samples = 0;                   // with a label
  std::int64_t classes = 0;                   // K
  double loss = 0;                            // nats
  double top1 = 0, top5 = 0;                  // %
  double balanced_accuracy = 0;               // %
  std::vector<std::optional<double>> recall;  // (K) %; nothing for a class that does not occur
  std::vector<std::int64_t> confusion;        // (K, K) samples of the row's class that were taken for the column's
};

/// logits (N, K), f64, f32 or bf16, in host memory. Throws kernels::Error, naming the sample, for a logit that is not
/// finite and a label that is no class; and where no sample has a label.
SingleLabelMetrics single_label_metrics(const kernels::View& logits, std::span<const std::int32_t> labels);

struct ClassMetrics {
  std::int64_t positives = 0, negatives = 0;  // known ones
  std::optional<double> auroc;                // 0 to 1
  std::optional<double> average_precision;    // 0 to 1
  std::optional<double> f1;                   // 0 to 1
};

struct MultiLabelMetrics {
  std::int64_t samples = 0;           // with a known target
  std::vector<ClassMetrics> classes;  // (K)
  double auroc = 0;                   // mean over the classes that have one: the same of the next two
  double mean_average_precision = 0;  // mAP
  double macro_f1 = 0;
  std::vector<std::int64_t> without_auroc;  // classes, in order
};

/// logits as above; targets (N, K). Throws kernels::Error, naming the sample, for a logit that is not finite and any
/// other target; where nothing is known; and where no class has both a positive and a negative.
MultiLabelMetrics multi_label_metrics(const kernels::View& logits, std::span<const std::int8_t> targets);

}  // namespace mae
