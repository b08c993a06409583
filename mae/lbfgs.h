// Limited-memory BFGS (Liu and Nocedal, "On the limited memory BFGS method", 1989): minimises a smooth function of a
// few thousand numbers from its values and gradients, without a step size to choose. Serial, in f64: deterministic.
//
//   direction   d = -H g, H from the last `pairs` (s = change of x, y = change of g) by the two-loop recursion,
//               scaled by s.y / y.y; the first one is -g / max(1, |g|)
//   step        1, halved until f falls by 1e-4 of what the slope promises
//   end         ten iterations together lower f by less than `tolerance` of |f|, or no step along d lowers it at all
//               (the rounding of f is reached), or `limit` iterations
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace mae {

/// f(x), and its gradient written to `gradient`.
using Differentiable = std::function<double(std::span<const double> x, std::span<double> gradient)>;

struct Minimum {
  std::vector<double> x;
  double value = 0;
  int iterations = 0;
  bool converged = false;  // false: stopped by the limit
};

Minimum lbfgs(const Differentiable& objective, std::vector<double> start, int limit, double tolerance);

}  // namespace mae
