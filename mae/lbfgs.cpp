#include "mae/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

namespace mae {
namespace {

constexpr std::size_t pairs = 10;
constexpr int window = 10;  // iterations over which progress is judged: single ones may stall

struct Pair {
  std::vector<double> s, y;  // change of x, change of the gradient
  double curvature;          // s.y > 0
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void add(std::vector<double>& a, double factor, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += factor * b[i];
}

std::vector<double> direction(const std::vector<double>& gradient, const std::deque<Pair>& history) {
  std::vector<double> d = gradient, along(history.size());
  for (std::size_t i = history.size(); i-- > 0;) {
    along[i] = dot(history[i].s, d) / history[i].curvature;
    add(d, -along[i], history[i].y);
  }
  const double scale = history.empty() ? 1 / std::max(1.0, std::sqrt(dot(gradient, gradient)))
                                       : history.back().curvature / dot(history.back().y, history.back().y);
  for (double& value : d) value *= scale;
  for (std::size_t i = 0; i < history.size(); ++i) {
    add(d, along[i] - dot(history[i].y, d) / history[i].curvature, history[i].s);
  }
  for (double& value : d) value = -value;
  return d;
}

}  // namespace

Minimum lbfgs(const Differentiable& objective, std::vector<double> start, int limit, double tolerance) {
  Minimum at{.x = std::move(start)};
  std::vector<double> gradient(at.x.size()), next_gradient(at.x.size()), next;
  at.value = objective(at.x, gradient);
  std::deque<Pair> history;
  std::deque<double> values{at.value};
  while (at.iterations < limit) {
    const std::vector<double> d = direction(gradient, history);
    const double slope = dot(gradient, d);
    double step = 1, value = at.value;
    for (;; step /= 2) {
      if (!(slope < 0) || step < 1e-6) {
        at.converged = true;
        return at;
      }
      next = at.x;
      add(next, step, d);
      value = objective(next, next_gradient);
      if (value <= at.value + 1e-4 * step * slope) break;
    }
    Pair pair{d, next_gradient, 0};
    for (double& s : pair.s) s *= step;
    add(pair.y, -1, gradient);
    pair.curvature = dot(pair.s, pair.y);
    if (pair.curvature > 1e-10 * std::sqrt(dot(pair.s, pair.s) * dot(pair.y, pair.y)))
      history.push_back(std::move(pair));
    if (history.size() > pairs) history.pop_front();
    at.x.swap(next);
    gradient.swap(next_gradient);
    at.value = value;
    ++at.iterations;
    values.push_back(value);
    if (values.size() > window + 1) values.pop_front();
    if (values.size() == window + 1 && values.front() - value <= tolerance * std::abs(value)) {
      return at.converged = true, at;
    }
  }
  return at;
}

}  // namespace mae
