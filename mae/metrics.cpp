#include "mae/metrics.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/core/check.h"

namespace mae {
namespace {

using kernels::Error;
using kernels::View;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

std::string sample_name(std::int64_t i) { return "sample " + std::to_string(i); }

/// Row i as f64, all of it finite.
void read_row(const View& logits, std::int64_t i, std::vector<double>& row) {
  kernels::visit_floating(logits.dtype, [&]<class T>(T) {
    const T* z = logits.row<T>(i);
    for (std::size_t k = 0; k < row.size(); ++k) row[k] = static_cast<double>(z[k]);
  });
  const auto bad = std::find_if_not(row.begin(), row.end(), [](double z) { return std::isfinite(z); });
  if (bad != row.end())
    throw Error("the logit of class " + std::to_string(bad - row.begin()) + " is not finite",
                "metrics: " + sample_name(i), "a classifier from before its training diverged");
}

void check_sizes(const View& logits, std::size_t count, std::size_t wanted) {
  if (logits.rows() < 1 || logits.cols() < 1 || count != wanted)
    throw Error(std::to_string(count) + " labels for logits of " + to_string(logits.shape), "metrics",
                "a row of logits for every sample");
}

double percent(std::int64_t part, std::int64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

double cross_entropy(const std::vector<double>& z, std::int32_t label) {
  const double highest = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (double value : z) sum += std::exp(value - highest);
  return std::log(sum) + highest - z[index(label)];
}

std::int64_t rank_of(const std::vector<double>& z, std::int32_t label) {
  std::int64_t rank = 0;
  for (std::size_t k = 0; k < z.size(); ++k)
    rank += z[k] > z[index(label)] || (z[k] == z[index(label)] && k < index(label));
  return rank;
}

/// A logit of a class beside its target.
struct Scored {
  double logit;
  bool positive;
};

/// The samples whose target of class k is known, the highest logit first.
std::vector<Scored> known_of(const std::vector<double>& logits, std::span<const std::int8_t> targets, std::size_t K,
                             std::size_t k) {
  std::vector<Scored> known;
  for (std::size_t at = k; at < logits.size(); at += K) {
    if (targets[at] >= 0) known.push_back({logits[at], targets[at] == 1});
  }
  std::stable_sort(known.begin(), known.end(), [](const Scored& a, const Scored& b) { return a.logit > b.logit; });
  return known;
}

/// One walk over runs of equal logits. A run adds to the AUROC its pairs with the negatives below it, and half of the
/// pairs inside it: what mean ranks come to.
ClassMetrics metrics_of(const std::vector<Scored>& known) {
  ClassMetrics m;
  for (const Scored& s : known) ++(s.positive ? m.positives : m.negatives);
  const auto P = static_cast<double>(m.positives), N = static_cast<double>(m.negatives);
  double pairs = 0, precision = 0, found = 0, false_alarms = 0, found_above_0 = 0, false_above_0 = 0;
  for (std::size_t begin = 0, end = 0; begin < known.size(); begin = end) {
    double positives = 0;
    for (end = begin; end < known.size() && known[end].logit == known[begin].logit; ++end)
      positives += known[end].positive;
    const double negatives = static_cast<double>(end - begin) - positives;
    found += positives;
    false_alarms += negatives;
    pairs += positives * (N - false_alarms + negatives / 2);
    precision += positives * found / (found + false_alarms);
    if (known[begin].logit > 0) found_above_0 = found, false_above_0 = false_alarms;
  }
  if (m.positives == 0) return m;
  m.average_precision = precision / P;
  m.f1 = 2 * found_above_0 / (found_above_0 + false_above_0 + P);
  if (m.negatives > 0) m.auroc = pairs / (P * N);
  return m;
}

double mean_of(const std::vector<ClassMetrics>& classes, std::optional<double> ClassMetrics::*member) {
  double sum = 0, count = 0;
  for (const ClassMetrics& m : classes) {
    if (m.*member) sum += *(m.*member), ++count;
  }
  return sum / count;
}

}  // namespace

SingleLabelMetrics single_label_metrics(const View& logits, std::span<const std::int32_t> labels) {
  check_sizes(logits, labels.size(), index(logits.rows()));
  const std::int64_t K = logits.cols();
  SingleLabelMetrics m{.classes = K, .recall = {}, .confusion = std::vector<std::int64_t>(index(K * K))};
  m.recall.resize(index(K));
  std::vector<double> z(index(K));
  std::int64_t first = 0, first_five = 0;
  for (std::int64_t i = 0; i < logits.rows(); ++i) {
    const std::int32_t label = labels[index(i)];
    if (label < -1 || label >= K)
      throw Error("the label " + std::to_string(label) + " is none of " + std::to_string(K) + " classes",
                  "metrics: " + sample_name(i), "logits for every class of the data set");
    read_row(logits, i, z);
    if (label < 0) continue;
    const std::int64_t rank = rank_of(z, label);
    ++m.samples;
    m.loss += cross_entropy(z, label);
    first += rank < 1;
    first_five += rank < 5;
    ++m.confusion[index(label * K + (std::max_element(z.begin(), z.end()) - z.begin()))];
  }
  if (m.samples == 0) throw Error("no sample has a label", "metrics", "a data set with labels");
  m.loss /= static_cast<double>(m.samples);
  m.top1 = percent(first, m.samples);
  m.top5 = percent(first_five, m.samples);
  std::int64_t occurring = 0;
  for (std::int64_t k = 0; k < K; ++k) {
    std::int64_t count = 0;
    for (std::int64_t j = 0; j < K; ++j) count += m.confusion[index(k * K + j)];
    if (count == 0) continue;
    m.recall[index(k)] = percent(m.confusion[index(k * K + k)], count);
    m.balanced_accuracy += *m.recall[index(k)];
    ++occurring;
  }
  m.balanced_accuracy /= static_cast<double>(occurring);
  return m;
}

MultiLabelMetrics multi_label_metrics(const View& logits, std::span<const std::int8_t> targets) {
  check_sizes(logits, targets.size(), index(logits.rows() * logits.cols()));
  const std::size_t K = index(logits.cols());
  std::vector<double> z(K), all;
  MultiLabelMetrics m;
  for (std::int64_t i = 0; i < logits.rows(); ++i) {
    const auto row = targets.subspan(index(i) * K, K);
    const auto bad = std::find_if(row.begin(), row.end(), [](std::int8_t t) { return t < -1 || t > 1; });
    if (bad != row.end())
      throw Error("the target of class " + std::to_string(bad - row.begin()) + " is " + std::to_string(*bad),
                  "metrics: " + sample_name(i), "1, 0, or -1 for what is not known");
    read_row(logits, i, z);
    all.insert(all.end(), z.begin(), z.end());
    m.samples += std::any_of(row.begin(), row.end(), [](std::int8_t t) { return t >= 0; });
  }
  if (m.samples == 0) throw Error("no sample has a known target", "metrics", "a data set with labels");
  for (std::size_t k = 0; k < K; ++k) {
    m.classes.push_back(metrics_of(known_of(all, targets, K, k)));
    if (!m.classes.back().auroc) m.without_auroc.push_back(static_cast<std::int64_t>(k));
  }
  if (m.without_auroc.size() == K)
    throw Error("no class has both a positive and a negative sample, so there is no AUROC", "metrics",
                "more samples, or fewer classes");
  m.auroc = mean_of(m.classes, &ClassMetrics::auroc);
  m.mean_average_precision = mean_of(m.classes, &ClassMetrics::average_precision);
  m.macro_f1 = mean_of(m.classes, &ClassMetrics::f1);
  return m;
}

}  // namespace mae
