#include "mae/knn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/check.h"
#include "kernels/cpu/parallel.h"
#include "mae/host_product.h"

namespace mae {
namespace {

using kernels::Error;
using kernels::View;

constexpr std::int64_t test_rows = 128, train_rows = 1024;  // of a product: half a MB of similarities a thread

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Neighbour {
  float similarity;
  std::int64_t sample;
};

bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.sample < b.sample;
}

/// The samples' vectors divided by their norms. (samples, D)
std::vector<float> directions(const Features& features, std::span<const std::int64_t> samples, const char* where) {
  const std::size_t D = index(features.width);
  std::vector<float> unit(samples.size() * D);
  std::vector<char> zero(samples.size());
  kernels::cpu::parallel_for(std::ssize(samples), [&](std::int64_t i) {
    const float* f = features.values.data() + index(samples[index(i)]) * D;
    double squares = 0;
    for (std::size_t j = 0; j < D; ++j) squares += static_cast<double>(f[j]) * static_cast<double>(f[j]);
    zero[index(i)] = squares == 0;
    const double factor = 1 / std::sqrt(squares);
    for (std::size_t j = 0; j < D; ++j) unit[index(i) * D + j] = static_cast<float>(static_cast<double>(f[j]) * factor);
  });
  if (const auto found = std::find(zero.begin(), zero.end(), 1); found != zero.end())
    throw Error("the features of sample " + std::to_string(samples[index(found - zero.begin())]) +
                    " are all zero, and have no direction",
                where, "another checkpoint, or for pixels: leave black images out");
  return unit;
}

/// Adds the columns of a row of similarities to the `most` nearest so far: a heap whose top is the farthest of them.
void keep_nearest(const float* similarities, std::int64_t first, std::int64_t count, std::size_t most,
                  std::vector<Neighbour>& heap) {
  for (std::int64_t j = 0; j < count; ++j) {
    const Neighbour candidate{similarities[j], first + j};
    if (heap.size() == most) {
      if (!nearer(candidate, heap.front())) continue;
      std::pop_heap(heap.begin(), heap.end(), nearer);
      heap.back() = candidate;
    } else {
      heap.push_back(candidate);
    }
    std::push_heap(heap.begin(), heap.end(), nearer);
  }
}

/// The class that the first k neighbours, nearest first, vote for. exp is taken relative to the nearest, which changes
/// no order and cannot overflow.
std::int32_t vote(std::span<const Neighbour> neighbours, std::span<const std::int32_t> labels, double temperature,
                  std::vector<double>& votes) {
  std::fill(votes.begin(), votes.end(), 0.0);
  const auto nearest = static_cast<double>(neighbours.front().similarity);
  for (const Neighbour& n : neighbours)
    votes[index(labels[index(n.sample)])] += std::exp((static_cast<double>(n.similarity) - nearest) / temperature);
  return static_cast<std::int32_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

/// The nearest of all training rows for each of `rows` test rows, nearest first.
std::vector<std::vector<Neighbour>> neighbours_of(const View& test, const View& train, std::size_t most) {
  std::vector<std::vector<Neighbour>> heaps(index(test.rows()));
  std::vector<float> z(index(test.rows() * train_rows));
  for (std::int64_t first = 0; first < train.rows(); first += train_rows) {
    const std::int64_t count = std::min(train_rows, train.rows() - first);
    const View similarities = kernels::view_of(z.data(), kernels::DType::f32, {test.rows(), count});
    host_product({.a = test,
                  .b = kernels::view_of(train.row<float>(first), kernels::DType::f32, {count, train.cols()}),
                  .out = similarities,
                  .b_layout = kernels::Layout::transposed});
    for (std::int64_t r = 0; r < test.rows(); ++r)
      keep_nearest(similarities.row<float>(r), first, count, most, heaps[index(r)]);
  }
  for (auto& heap : heaps) std::sort_heap(heap.begin(), heap.end(), nearer);
  return heaps;
}

void check(const KnnOptions& options, std::int64_t samples) {
  if (!(options.temperature > 0) || !std::isfinite(options.temperature))
    throw Error("the temperature is " + std::to_string(options.temperature), "knn", "0.07");
  if (options.k.empty()) throw Error("no number of neighbours is given", "knn", "20");
  for (const std::int64_t k : options.k) {
    if (k < 1 || k > samples)
      throw Error(std::to_string(k) + " neighbours of " + std::to_string(samples) + " training samples are asked for",
                  "knn", "k from 1 to " + std::to_string(samples));
  }
}

}  // namespace

std::vector<KnnResult> nearest_neighbours(const Features& train, const Features& test, const KnnOptions& options) {
  const std::int64_t classes = check_features(train, test, options.labels, "knn"), D = train.width;
  std::vector<std::int64_t> chosen = choose_labels(train.labels, options.labels, options.seed);
  std::sort(chosen.begin(), chosen.end());  // ties go by the place in the training split
  const std::int64_t count = std::ssize(chosen);
  check(options, count);
  std::vector<std::int64_t> every(index(test.count));
  std::iota(every.begin(), every.end(), 0);
  std::vector<float> known = directions(train, chosen, "knn: training features");
  std::vector<float> unseen = directions(test, every, "knn: test features");
  std::vector<std::int32_t> labels;
  for (const std::int64_t i : chosen) labels.push_back(train.labels[index(i)]);

  std::vector<KnnResult> results;
  for (const std::int64_t k : options.k)
    results.push_back(
        {.k = k, .labels = count, .classes = classes, .predicted = std::vector<std::int32_t>(index(test.count))});
  const auto most = index(*std::max_element(options.k.begin(), options.k.end()));
  const View known_view = kernels::view_of(known.data(), kernels::DType::f32, {count, D});
  kernels::cpu::parallel_for((test.count + test_rows - 1) / test_rows, [&](std::int64_t block) {
    const std::int64_t first = block * test_rows, rows = std::min(test_rows, test.count - first);
    const auto found =
        neighbours_of(kernels::view_of(unseen.data() + first * D, kernels::DType::f32, {rows, D}), known_view, most);
    std::vector<double> votes(index(classes));
    for (std::int64_t r = 0; r < rows; ++r) {
      for (KnnResult& result : results)
        result.predicted[index(first + r)] =
            vote(std::span(found[index(r)]).first(index(result.k)), labels, options.temperature, votes);
    }
  });
  for (KnnResult& result : results) {
    std::int64_t right = 0;
    for (std::size_t i = 0; i < test.labels.size(); ++i) right += result.predicted[i] == test.labels[i];
    result.top1 = 100.0 * static_cast<double>(right) / static_cast<double>(test.count);
  }
  return results;
}

}  // namespace mae
