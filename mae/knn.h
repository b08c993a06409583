// k nearest neighbours: which class do the training samples vote for whose features point where a test sample's do?
//
//     s_j   = <f, g_j> / (|f| |g_j|)                    f a test feature vector, g_j that of training sample j
//     votes = sum over the k largest s_j of exp(s_j / T) onehot(label_j)
//
// This is the protocol of InstDisc (Wu et al., CVPR 2018, section 3.4) and DINO (Caron et al., ICCV 2021, appendix F),
// both with T = 0.07; no parameter is fitted. Norms are in f64, vectors are rounded to f32, products are f32, votes
// f64.
//
// Ties: of equally similar samples the one that comes first in the training split is nearer; of classes with equal
// votes the lower one wins. The result does not depend on the number of threads.
#pragma once

#include "mae/probe.h"

namespace mae {

struct KnnOptions {
  std::vector<std::int64_t> k{20};  // neighbours: a result for each
  double temperature = 0.07;        // T
  std::int64_t labels = 0;          // training samples, class-balanced as far as possible (choose_labels); 0: all
  std::uint32_t seed = 0;           // of their choice
};

struct KnnResult {
  std::int64_t k = 0, labels = 0, classes = 0;  // neighbours; training samples used; the largest training label + 1
  double top1 = 0;                              // % of the test samples
  std::vector<std::int32_t> predicted;          // (test samples)
};

/// A result for each k, in their order. Throws kernels::Error for all that linear_probe refuses; for a feature vector
/// of zeros, which has no direction, naming the sample; for k below 1 or above the training samples used, and T not
/// above 0.
std::vector<KnnResult> nearest_neighbours(const Features& train, const Features& test, const KnnOptions& options);

}  // namespace mae
