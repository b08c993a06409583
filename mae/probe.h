// The quick linear probe (`--protocol quick`): how well do frozen features separate the classes by a plane each?
//
//   x_ij = (f_ij - mean_j) / std_j          mean and std over the chosen training samples; a feature whose std is below
//                                           1e-6 of its root mean square there is constant but for rounding: x = 0
//   minimise  1/n sum_i -log softmax(W x_i + b)[label_i]  +  c / (2n) |W|^2                   over W (K, D) and b (K)
//
// Features    as handed in, one vector a sample, no augmentation.
// Split       n labels of the training split, as many of each class as possible, drawn by the seed (`choose_labels`);
//             top-1 is over the whole test split, which nothing else looks at.
// Penalty     c is chosen by the training labels alone, by one rule for every feature set and every n: the chosen
//             samples are cut 4 : 1 (at most 8,000 : 2,000), each part balanced; fits on the first with c = 1000, 300,
//             100, 30 .. 0.1, each from the last one's solution, end when the cross-entropy of the second stops
//             falling; the best c is then used for all n. c does not shrink with n: it is the inverse variance of a
//             normal prior on W, so a value found on a part serves the whole.
// Fit         L-BFGS (10 pairs) on the full batch from W = 0, b = 0 (from the chosen fit on the part), until ten
//             iterations lower the objective by less than 1e-4 of itself, at most `iterations` of them.
//
// This is not the protocol of the paper's tables (there: 90 epochs of LARS with augmentation on ImageNet-1K).
// Products run in f32 on the CPU; the result does not depend on the number of threads. Memory: one f32 copy of the
// chosen features.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mae {

struct Features {
  std::int64_t count = 0, width = 0;
  std::vector<float> values;         // (count, width)
  std::vector<std::int32_t> labels;  // (count) 0 <= label
};

/// Throws kernels::Error, naming `who`, unless a classifier of `labels` (0: all) of the training samples can be made of
/// these and tried on those; see linear_probe. Returns K: the largest training label + 1.
std::int64_t check_features(const Features& train, const Features& test, std::int64_t labels, const std::string& who);

struct ProbeOptions {
  std::int64_t labels = 0;  // training samples, class-balanced as far as possible; 0: all
  std::uint32_t seed = 0;   // of the choice of training samples
  int iterations = 100;     // of a fit, at most
  double penalty = 0;       // c; 0: chosen by the rule above
};

struct ProbeResult {
  double top1 = 0;           // % of the test samples
  double train_top1 = 0;     // % of the chosen training samples
  std::int64_t labels = 0;   // training samples used
  std::int64_t classes = 0;  // K: the largest training label + 1
  double penalty = 0;        // c
  double loss = 0;           // the objective at the end
  int iterations = 0;        // of the last fit
  bool converged = false;    // false: stopped by ProbeOptions::iterations
};

/// Throws kernels::Error for sizes that do not fit together, values that are not finite, labels that are missing or in
/// the test split only, fewer than two classes, and fewer wanted labels than classes or more than samples.
ProbeResult linear_probe(const Features& train, const Features& test, const ProbeOptions& options);

/// Indices of `wanted` samples (0: all). Each class is ordered by key[i] = Philox word, key (seed, probe), counter (0,
/// 0, i, 0), ties by index; the classes are dealt from in turn, so counts differ by at most one while samples last, and
/// a smaller choice is a subset of a larger one. In the order returned each class is spread evenly: any range of it has
/// nearly the same shares.
std::vector<std::int64_t> choose_labels(std::span<const std::int32_t> labels, std::int64_t wanted, std::uint32_t seed);

}  // namespace mae
