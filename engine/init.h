// Initial values, drawn on the host in f64 from Philox (seed, init; element, segment): the same for every device, dtype
// (up to rounding) and order of calls.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/parameters.h"

namespace engine {

/// Draws of one segment.
class InitStream {
 public:
  InitStream(std::uint32_t seed, int segment) : seed_(seed), segment_(static_cast<std::uint32_t>(segment)) {}
  /// n values of U(-bound, bound).
  std::vector<double> uniform(std::int64_t n, double bound) const;
  /// n values of N(0, deviation), cut off at +-limit by drawing again (limit 0: not cut off).
  std::vector<double> normal(std::int64_t n, double deviation, double limit = 0) const;

 private:
  std::uint32_t word(std::int64_t element, std::uint32_t attempt) const;
  std::uint32_t seed_, segment_;
};

/// Glorot & Bengio 2010: the bound of a uniform distribution with variance 2 / (in + out).
double xavier_bound(std::int64_t in, std::int64_t out);

/// Sets the master values of a parameter (and the bf16 copy at the next refresh_compute).
void assign(kernels::Stream& stream, const Parameter& parameter, const std::vector<double>& values);

}  // namespace engine
