#include "mae/softmax_regression.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "mae/host_product.h"

namespace mae {
namespace {

using kernels::Layout;
using kernels::View;

constexpr std::int64_t block_rows = 512;  // of a product: the second one finds the features in the cache
constexpr std::int64_t shares = 16;       // of the rows: what threads share out

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

View rows_of(const View& x, std::int64_t first, std::int64_t count) {
  View part = x;
  part.data = static_cast<char*>(x.data) + index(first * x.row_stride) * size_of(x.dtype);
  part.shape = {count, x.cols()};
  return part;
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

/// One share of the rows: its loss and gradient, and room for the logits of a block.
template <class T>
struct Share {
  double loss = 0;
  std::vector<T> dw;       // (K, D)
  std::vector<double> db;  // (K)
  std::vector<T> z;        // (block, K)
};

template <class T>
void add_cross_entropy(const View& x, std::span<const std::int32_t> labels, const View& w, const View& b,
                       Share<T>& share) {
  const std::int64_t classes = b.cols();
  for (std::int64_t first = 0; first < x.rows(); first += block_rows) {
    const View block = rows_of(x, first, std::min(block_rows, x.rows() - first));
    const View z = view_of(share.z, {block.rows(), classes});
    host_product({.a = block, .b = w, .bias = b, .out = z, .b_layout = Layout::transposed});
    for (std::int64_t r = 0; r < block.rows(); ++r) {
      share.loss += residual_of(z.row<T>(r), classes, labels[index(first + r)]);
      for (std::int64_t k = 0; k < classes; ++k) share.db[index(k)] += static_cast<double>(z.row<T>(r)[k]);
    }
    const View dw = view_of(share.dw, w.shape);
    host_product({.a = z, .b = block, .out = dw, .a_layout = Layout::transposed, .mode = kernels::Write::accumulate});
  }
}

/// Sums over the rows of x: the cross-entropy returned, its gradient added to `gradient`. The number of shares is
/// fixed, so the order of no sum depends on the number of threads; the products inside run on one thread each, because
/// a thin product is over before threads have met.
template <class T>
double cross_entropy(const View& x, std::span<const std::int32_t> labels, std::span<const double> parameters,
                     std::int64_t classes, std::span<double> gradient) {
  const std::int64_t weights = classes * x.cols(), each = (x.rows() + shares - 1) / shares;
  std::vector<T> w(parameters.begin(), parameters.begin() + weights);  // (K, D)
  std::vector<T> b(parameters.begin() + weights, parameters.end());    // (K)
  const View w_view = view_of(w, {classes, x.cols()}), b_view = view_of(b, {classes});
  std::vector<Share<T>> parts(index((x.rows() + each - 1) / each));
  kernels::cpu::parallel_for(static_cast<std::int64_t>(parts.size()), [&](std::int64_t i) {
    const std::int64_t first = i * each, count = std::min(each, x.rows() - first);
    Share<T> part{.dw = std::vector<T>(index(weights)),
                  .db = std::vector<double>(index(classes)),
                  .z = std::vector<T>(index(std::min(count, block_rows) * classes))};
    add_cross_entropy(rows_of(x, first, count), labels.subspan(index(first)), w_view, b_view, part);
    parts[index(i)] = std::move(part);
  });
  double loss = 0;
  for (const Share<T>& part : parts) {
    loss += part.loss;
    for (std::size_t i = 0; i < part.dw.size(); ++i) gradient[i] += static_cast<double>(part.dw[i]);
    for (std::size_t k = 0; k < part.db.size(); ++k) gradient[index(weights) + k] += part.db[k];
  }
  return loss;
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

double softmax_top1(const View& x, std::span<const std::int32_t> labels, std::span<const double> parameters) {
  const std::int64_t count = x.rows(), D = x.cols(), K = static_cast<std::int64_t>(parameters.size()) / (D + 1);
  std::vector<float> w(parameters.begin(), parameters.begin() + K * D);  // (K, D)
  std::vector<float> b(parameters.begin() + K * D, parameters.end());    // (K)
  std::vector<float> z(index(count * K));                                // (n, K)
  host_product({.a = x,
                .b = view_of(w, {K, D}),
                .bias = view_of(b, {K}),
                .out = view_of(z, {count, K}),
                .b_layout = Layout::transposed});
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float* row = z.data() + i * K;
    right += std::max_element(row, row + K) - row == labels[index(i)];
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(count);
}

}  // namespace mae
