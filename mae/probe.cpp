#include "mae/probe.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "kernels/core/philox.h"
#include "kernels/cpu/parallel.h"
#include "kernels/matmul.h"
#include "mae/lbfgs.h"

namespace mae {
namespace {

using kernels::Error;
using kernels::Layout;
using kernels::MatMul;
using kernels::View;

constexpr std::int64_t block_rows = 2048;  // of the products: the second one finds the features in the cache
constexpr std::int64_t most_fit = 8000, most_held = 2000;
constexpr double penalties[] = {1000, 300, 100, 30, 10, 3, 1, 0.3, 0.1};
constexpr double tolerance = 1e-4;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

View rows_of(const View& x, std::int64_t first, std::int64_t count) {
  View part = x;
  part.data = static_cast<char*>(x.data) + index(first * x.row_stride) * size_of(x.dtype);
  part.shape = {count, x.cols()};
  return part;
}

/// Launches a product with the scratch memory that its row asks for.
void product(const MatMul& args) {
  thread_local kernels::Stream stream(kernels::devices().front());
  thread_local std::vector<std::byte> scratch;
  kernels::Stream dry(kernels::devices().front(), kernels::StreamMode::dry);
  launch(dry, args);
  if (dry.scratch_wanted() > scratch.size()) {
    scratch.resize(dry.scratch_wanted());
    stream.lend_scratch(scratch.data(), scratch.size());
  }
  launch(stream, args);
}

template <class T>
View view_of(std::vector<T>& values, const kernels::Shape& shape) {
  return kernels::view_of(values.data(), kernels::dtype_of<T>, shape);
}

/// softmax(z) - onehot(label) in place of the logits z; returns -log softmax(z)[label].
template <class T>
double residual_of(T* z, std::int64_t classes, std::int32_t label) {
  const T highest = *std::max_element(z, z + classes), own = z[label];
  T sum = 0;
  for (std::int64_t k = 0; k < classes; ++k) sum += z[k] = std::exp(z[k] - highest);
  for (std::int64_t k = 0; k < classes; ++k) z[k] /= sum;
  z[label] -= 1;
  return std::log(static_cast<double>(sum)) + static_cast<double>(highest) - static_cast<double>(own);
}

/// Sums over the rows of x: the cross-entropy returned, its gradient added to dw (K, D) and db (K).
template <class T>
double cross_entropy(const View& x, std::span<const std::int32_t> labels, std::span<const double> parameters,
                     std::int64_t classes, std::span<double> gradient) {
  const std::int64_t count = x.rows(), width = x.cols(), weights = classes * width;
  std::vector<T> w(parameters.begin(), parameters.begin() + weights);  // (K, D)
  std::vector<T> b(parameters.begin() + weights, parameters.end());    // (K)
  std::vector<T> dw(index(weights));                                   // (K, D)
  std::vector<T> z(index(block_rows * classes));                       // (block, K)
  double loss = 0;
  for (std::int64_t first = 0; first < count; first += block_rows) {
    const std::int64_t rows = std::min(block_rows, count - first);
    const View block = rows_of(x, first, rows), logits = view_of(z, {rows, classes});
    product({.a = block,
             .b = view_of(w, {classes, width}),
             .bias = view_of(b, {classes}),
             .out = logits,
             .b_layout = Layout::transposed});
    for (std::int64_t r = 0; r < rows; ++r) {
      T* row = logits.row<T>(r);
      loss += residual_of(row, classes, labels[index(first + r)]);
      for (std::int64_t k = 0; k < classes; ++k) gradient[index(weights + k)] += static_cast<double>(row[k]);
    }
    product({.a = logits,
             .b = block,
             .out = view_of(dw, {classes, width}),
             .a_layout = Layout::transposed,
             .mode = kernels::Write::accumulate});
  }
  for (std::size_t i = 0; i < dw.size(); ++i) gradient[i] += static_cast<double>(dw[i]);
  return loss;
}

/// Throws unless the features can be probed; returns K.
std::int64_t check(const Features& train, const Features& test, const ProbeOptions& options) {
  for (const Features* part : {&train, &test}) {
    const char* where = part == &train ? "probe: training features" : "probe: test features";
    if (part->count <= 0 || part->width <= 0 || part->values.size() != index(part->count * part->width) ||
        part->labels.size() != index(part->count))
      throw Error("values and labels do not have count x width and count elements", where);
    if (part->width != train.width) throw Error("they are not as wide as the training features", where);
    if (!std::all_of(part->values.begin(), part->values.end(), [](float v) { return std::isfinite(v); }))
      throw Error("some values are not finite", where, "a checkpoint from before the training diverged");
    if (*std::min_element(part->labels.begin(), part->labels.end()) < 0)
      throw Error("some samples have no label", where, "a data set with labels: folders DIR/<class>/, IDX or CIFAR-10");
  }
  const std::int64_t classes = *std::max_element(train.labels.begin(), train.labels.end()) + 1;
  if (classes < 2) throw Error("there is only one class", "probe: training features");
  if (*std::max_element(test.labels.begin(), test.labels.end()) >= classes)
    throw Error("there are labels that the training split does not have", "probe: test features");
  if (options.labels != 0 && (options.labels < classes || options.labels > train.count))
    throw Error(std::to_string(options.labels) + " labels are asked for", "probe",
                "0 for all, or " + std::to_string(classes) + " (one a class) to " + std::to_string(train.count));
  return classes;
}

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
  std::int64_t width = 0, classes = 0;

  View rows(std::int64_t first, std::int64_t count) {
    return rows_of(view_of(values, {static_cast<std::int64_t>(labels.size()), width}), first, count);
  }
  std::span<const std::int32_t> labels_of(std::int64_t first, std::int64_t count) const {
    return std::span(labels).subspan(index(first), index(count));
  }
};

Table standardise(const Features& features, std::span<const std::int64_t> samples, const Scaling& scaling,
                  std::int64_t classes) {
  const std::size_t width = index(features.width);
  Table table{.values = std::vector<float>(samples.size() * width),
              .labels = std::vector<std::int32_t>(samples.size()),
              .width = features.width,
              .classes = classes};
  kernels::cpu::parallel_for(static_cast<std::int64_t>(samples.size()), [&](std::int64_t i) {
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
  const std::int64_t count = static_cast<std::int64_t>(table.labels.size());
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

double top1(Table& table, std::span<const double> parameters) {
  const std::int64_t count = static_cast<std::int64_t>(table.labels.size()), K = table.classes, D = table.width;
  std::vector<float> w(parameters.begin(), parameters.begin() + K * D);  // (K, D)
  std::vector<float> b(parameters.begin() + K * D, parameters.end());    // (K)
  std::vector<float> z(index(count * K));                                // (n, K)
  product({.a = table.rows(0, count),
           .b = view_of(w, {K, D}),
           .bias = view_of(b, {K}),
           .out = view_of(z, {count, K}),
           .b_layout = Layout::transposed});
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float* row = z.data() + i * K;
    right += std::max_element(row, row + K) - row == table.labels[index(i)];
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(count);
}

}  // namespace

double softmax_regression(const View& x, std::span<const std::int32_t> labels, double penalty,
                          std::span<const double> parameters, std::span<double> gradient) {
  const std::int64_t classes = static_cast<std::int64_t>(parameters.size()) / (x.cols() + 1);
  const double count = static_cast<double>(x.rows());
  std::fill(gradient.begin(), gradient.end(), 0.0);
  double sum = x.dtype == kernels::DType::f64 ? cross_entropy<double>(x, labels, parameters, classes, gradient)
                                              : cross_entropy<float>(x, labels, parameters, classes, gradient);
  for (std::size_t i = 0; i < index(classes * x.cols()); ++i) {
    sum += penalty / 2 * parameters[i] * parameters[i];
    gradient[i] += penalty * parameters[i];
  }
  for (double& g : gradient) g /= count;
  return sum / count;
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
  const std::int64_t classes = check(train, test, options);
  const std::vector<std::int64_t> chosen = choose_labels(train.labels, options.labels, options.seed);
  std::vector<std::int64_t> every(index(test.count));
  std::iota(every.begin(), every.end(), 0);
  const Scaling scaling = scaling_of(train, chosen);
  Table table = standardise(train, chosen, scaling, classes);
  Table unseen = standardise(test, every, scaling, classes);

  std::vector<double> parameters(index(classes * (train.width + 1)));
  const double penalty = options.penalty > 0 ? options.penalty : choose_penalty(table, parameters, options.iterations);
  const std::int64_t count = static_cast<std::int64_t>(chosen.size());
  const Minimum found = fit(table, count, penalty, std::move(parameters), options.iterations);
  return {.top1 = top1(unseen, found.x),
          .train_top1 = top1(table, found.x),
          .labels = count,
          .classes = classes,
          .penalty = penalty,
          .loss = found.value,
          .iterations = found.iterations,
          .converged = found.converged};
}

}  // namespace mae
