#include "mae/probe.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "kernels/cpu/parallel.h"
#include "mae/lbfgs.h"
#include "mae/softmax_regression.h"

namespace mae {
namespace {

using kernels::Error;
using kernels::View;

constexpr std::int64_t most_fit = 8000, most_held = 2000;
constexpr double penalties[] = {1000, 300, 100, 30, 10, 3, 1, 0.3, 0.1};
constexpr double tolerance = 1e-4;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Scaling {
  std::vector<double> mean, factor;  // (D) factor: 1 / std, or 0 for a constant feature
};

Scaling scaling_of(const Features& features, std::span<const std::int64_t> samples) {
  const std::size_t width = index(features.width);
  std::vector<double> sum(width), squares(width), factor(width);
  for (std::int64_t sample : samples) {
    const float* f = features.values.data() + sample * features.width;
    for (std::size_t j = 0; j < width; ++j) {
      const double value = static_cast<double>(f[j]);
      sum[j] += value;
      squares[j] += value * value;
    }
  }
  const double count = static_cast<double>(samples.size());
  for (std::size_t j = 0; j < width; ++j) {
    sum[j] /= count;
    const double variance = squares[j] / count - sum[j] * sum[j];
    factor[j] = variance > 1e-12 * (squares[j] / count) ? 1 / std::sqrt(variance) : 0.0;
  }
  return {.mean = std::move(sum), .factor = std::move(factor)};
}

/// Samples side by side, in the order given.
struct Table {
  std::vector<float> values;         // (n, D) standardised
  std::vector<std::int32_t> labels;  // (n)
  std::int64_t width = 0;

  View all() { return kernels::view_of(values.data(), kernels::DType::f32, {std::ssize(labels), width}); }
  View rows(std::int64_t first, std::int64_t count) {
    return kernels::view_of(values.data() + first * width, kernels::DType::f32, {count, width});
  }
  std::span<const std::int32_t> labels_of(std::int64_t first, std::int64_t count) const {
    return std::span(labels).subspan(index(first), index(count));
  }
};

Table standardise(const Features& features, std::span<const std::int64_t> samples, const Scaling& scaling) {
  const std::size_t width = index(features.width);
  Table table{.values = std::vector<float>(samples.size() * width),
              .labels = std::vector<std::int32_t>(samples.size()),
              .width = features.width};
  kernels::cpu::parallel_for(std::ssize(samples), [&](std::int64_t i) {
    const float* f = features.values.data() + samples[index(i)] * features.width;
    float* x = table.values.data() + i * features.width;
    for (std::size_t j = 0; j < width; ++j) {
      x[j] = static_cast<float>((static_cast<double>(f[j]) - scaling.mean[j]) * scaling.factor[j]);
    }
    table.labels[index(i)] = features.labels[index(samples[index(i)])];
  });
  return table;
}

Minimum fit(Table& table, std::int64_t count, double penalty, std::vector<double> start, int limit) {
  const View x = table.rows(0, count);
  const auto labels = table.labels_of(0, count);
  return lbfgs([&](auto at, auto gradient) { return softmax_regression(x, labels, penalty, at, gradient); },
               std::move(start), limit, tolerance);
}

/// The rule of the header. `parameters` are those of the best fit on the part afterwards.
double choose_penalty(Table& table, std::vector<double>& parameters, int limit) {
  const std::int64_t count = std::ssize(table.labels);
  const std::int64_t held = std::min(most_held, std::max<std::int64_t>(1, count / 5));
  const std::int64_t part = std::min(most_fit, count - held);
  std::vector<double> gradient(parameters.size()), current = parameters;
  double best = penalties[0], lowest = INFINITY;
  for (double penalty : penalties) {
    current = fit(table, part, penalty, std::move(current), limit).x;
    const double loss = softmax_regression(table.rows(part, held), table.labels_of(part, held), 0, current, gradient);
    if (!(loss < lowest)) break;
    lowest = loss, best = penalty, parameters = current;
  }
  return best;
}

}  // namespace

std::int64_t check_features(const Features& train, const Features& test, std::int64_t labels, const std::string& who) {
  for (const Features* part : {&train, &test}) {
    const std::string where = who + (part == &train ? ": training features" : ": test features");
    if (part->count <= 0 || part->width <= 0 || part->values.size() != index(part->count * part->width) ||
        part->labels.size() != index(part->count))
      throw Error("values and labels do not have count x width and count elements", where);
    if (part->width != train.width) throw Error("they are not as wide as the training features", where);
    if (!std::all_of(part->values.begin(), part->values.end(), [](float v) { return std::isfinite(v); }))
      throw Error("some values are not finite", where, "a checkpoint from before the training diverged");
    if (*std::min_element(part->labels.begin(), part->labels.end()) < 0)
      throw Error("some samples have no label", where,
                  "class folders, IDX, CIFAR, tar shards with .cls files, or a table");
  }
  const std::int64_t classes = std::int64_t{1} + *std::max_element(train.labels.begin(), train.labels.end());
  if (classes < 2) throw Error("there is only one class", who + ": training features");
  if (*std::max_element(test.labels.begin(), test.labels.end()) >= classes)
    throw Error("there are labels that the training split does not have", who + ": test features");
  if (labels != 0 && (labels < classes || labels > train.count))
    throw Error(std::to_string(labels) + " labels are asked for", who,
                "0 for all, or " + std::to_string(classes) + " (one a class) to " + std::to_string(train.count));
  return classes;
}

std::vector<std::int64_t> choose_labels(std::span<const std::int32_t> labels, std::int64_t wanted, std::uint32_t seed) {
  struct Sample {
    std::int64_t sample, rank;  // rank: place in its class
    std::uint32_t key;
    std::int32_t label;
    double place;  // in (0, 1): where in its class
  };
  std::vector<Sample> all(labels.size());
  const kernels::PhiloxKey key{seed, static_cast<std::uint32_t>(kernels::Purpose::probe)};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto words = kernels::philox({0, 0, static_cast<std::uint32_t>(i), 0}, key);
    all[i] = {.sample = static_cast<std::int64_t>(i), .key = words.w[0], .label = labels[i]};
  }
  const auto by = [&](auto member) {
    std::sort(all.begin(), all.end(), [&](const Sample& a, const Sample& b) {
      return std::tuple(a.*member, a.key, a.sample) < std::tuple(b.*member, b.key, b.sample);
    });
  };
  by(&Sample::key);
  std::map<std::int32_t, std::int64_t> counts;
  for (Sample& s : all) s.rank = counts[s.label]++;
  by(&Sample::rank);
  if (wanted > 0) all.resize(index(wanted));
  counts.clear();
  for (const Sample& s : all) ++counts[s.label];
  for (Sample& s : all) s.place = (static_cast<double>(s.rank) + 0.5) / static_cast<double>(counts[s.label]);
  by(&Sample::place);
  std::vector<std::int64_t> chosen;
  for (const Sample& s : all) chosen.push_back(s.sample);
  return chosen;
}

ProbeResult linear_probe(const Features& train, const Features& test, const ProbeOptions& options) {
  const std::int64_t classes = check_features(train, test, options.labels, "probe");
  const std::vector<std::int64_t> chosen = choose_labels(train.labels, options.labels, options.seed);
  std::vector<std::int64_t> every(index(test.count));
  std::iota(every.begin(), every.end(), 0);
  const Scaling scaling = scaling_of(train, chosen);
  Table table = standardise(train, chosen, scaling);
  Table unseen = standardise(test, every, scaling);

  std::vector<double> parameters(index(classes * (train.width + 1)));
  const double penalty = options.penalty > 0 ? options.penalty : choose_penalty(table, parameters, options.iterations);
  const std::int64_t count = std::ssize(chosen);
  const Minimum found = fit(table, count, penalty, std::move(parameters), options.iterations);
  return {.top1 = softmax_top1(unseen.all(), unseen.labels, found.x),
          .train_top1 = softmax_top1(table.all(), table.labels, found.x),
          .labels = count,
          .classes = classes,
          .penalty = penalty,
          .loss = found.value,
          .iterations = found.iterations,
          .converged = found.converged};
}

}  // namespace mae
