// Times of the rows of one work, round by round in turn: A B C A B C, so that a clock that drifts meets all of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/operands.h"
#include "bench/work.h"

namespace bench {

struct Protocol {
  double min_time = 0.2;  // seconds that each row is timed for, all rounds together
  double max_time = 1;    // seconds after which a row is not timed on, even if its median is not known yet
  int rounds = 5;
};

/// What is timed: one launch on the i-th set of operands.
struct Contender {
  std::function<void(Stream&, std::size_t i)> launch;
};

constexpr double known_within = 0.01;  // a median

struct Times {
  std::vector<double> us;  // a launch: one value for each timed region, which are at least `rounds`
  int launches = 0;        // in each region
  double median = 0, p10 = 0, p90 = 0;
  double doubt = 0;  // of the median: 0.01 for 1 %
  bool known() const { return doubt <= known_within; }
};

/// The p-th part of sorted or unsorted values, between neighbours in a straight line.
double quantile(std::vector<double> values, double p);

/// How far the median may be off: half of its 95 % confidence interval, as a part of the median. The interval is that
/// of the order statistics n/2 +- 0.98 sqrt(n), which asks for no particular distribution. Infinite for one value.
double doubt_of(const std::vector<double>& values);

/// Times each contender, in rounds, and goes on with those whose median is not known to 1 % by then. On a GPU the
/// launches of a region are replayed from a graph, one node after another on rotating operands, so the host's time is
/// not in them.
std::vector<Times> measure(Stream& stream, std::size_t sets, const std::vector<Contender>& contenders,
                           const Protocol& protocol);

}  // namespace bench
