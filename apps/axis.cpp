// The ticks of chart.h and their labels.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "apps/chart.h"

namespace apps {
namespace {

/// value * 10^decade, correctly rounded: 0.6 and not 0.6000000000000001.
double scaled(double value, int decade) {
  return decade < 0 ? value / std::pow(10.0, -decade) : value * std::pow(10.0, decade);
}

/// Multiples of mantissa * 10^decade in [low, high]; each made from its integer, so errors do not add up.
std::vector<double> multiples(double low, double high, int mantissa, int decade) {
  std::vector<double> ticks;
  const double step = scaled(mantissa, decade);
  const double slack = 1e-9;  // of a step: an end that is a multiple but for rounding still gets its tick
  for (double i = std::ceil(low / step - slack); i <= std::floor(high / step + slack); ++i)
    ticks.push_back(scaled(i * mantissa, decade) + 0.0);
  return ticks;
}

/// Every (mantissa x power of ten) in [low, high] whose power is a multiple of `every`.
std::vector<double> in_decades(double low, double high, const std::vector<int>& mantissas, int every) {
  std::vector<double> ticks;
  for (int decade = int(std::floor(std::log10(low))); decade <= int(std::ceil(std::log10(high))); ++decade)
    for (const int mantissa : mantissas) {
      const double tick = scaled(mantissa, decade);
      if (decade % every == 0 && tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  return ticks;
}

struct Unit {
  double size;
  const char* suffix;
};

Unit unit_of(double largest) {
  if (largest >= 1e9 || largest < 1e4) return {1, ""};
  return largest >= 1e6 ? Unit{1e6, "M"} : Unit{1e3, "k"};
}

/// The fewest decimals that tell every tick in `unit` exactly.
int decimals_of(const std::vector<double>& ticks, double unit) {
  int decimals = 0;
  const auto whole = [&](double tick) {
    const double digits = tick / unit * std::pow(10.0, decimals);
    return std::abs(digits - std::round(digits)) <= 1e-6;
  };
  while (decimals < 8 && !std::all_of(ticks.begin(), ticks.end(), whole)) ++decimals;
  return decimals;
}

}  // namespace

std::vector<double> linear_ticks(double low, double high, int at_most) {
  if (!(low < high) || at_most < 2 || !std::isfinite(high - low)) return {};
  for (int decade = int(std::floor(std::log10((high - low) / at_most)));; ++decade)
    for (const int mantissa : {1, 2, 5}) {
      if ((high - low) / scaled(mantissa, decade) > 2.0 * at_most) continue;
      auto ticks = multiples(low, high, mantissa, decade);
      if (int(ticks.size()) <= at_most) return ticks;
    }
}

std::vector<double> log_ticks(double low, double high, int at_most) {
  if (!(low > 0) || !(low < high) || !std::isfinite(high)) return {};
  const auto fits = [&](const std::vector<double>& ticks) { return ticks.size() >= 3 && int(ticks.size()) <= at_most; };
  for (const auto& mantissas : {std::vector<int>{1, 2, 5}, std::vector<int>{1}})
    if (auto ticks = in_decades(low, high, mantissas, 1); fits(ticks)) return ticks;
  if (high < 100 * low) return linear_ticks(low, high, at_most);
  for (int every = 2;; ++every)
    if (auto ticks = in_decades(low, high, {1}, every); int(ticks.size()) <= at_most) return ticks;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  double largest = 0, smallest = INFINITY;
  for (const double tick : ticks) {
    largest = std::max(largest, std::abs(tick));
    if (tick != 0) smallest = std::min(smallest, std::abs(tick));
  }
  std::vector<std::string> labels;
  const bool each_alone = largest >= 1e9 || (largest > 0 && smallest < 1e-4) || largest > 999 * smallest;
  const Unit unit = unit_of(largest);
  const int decimals = each_alone ? 0 : decimals_of(ticks, unit.size);
  for (const double tick : ticks) {
    const Unit own = each_alone ? unit_of(std::abs(tick)) : unit;
    labels.push_back(tick == 0    ? "0"
                     : each_alone ? fmt::format("{:.6g}{}", tick / own.size, own.suffix)
                                  : fmt::format("{:.{}f}{}", tick / own.size, decimals, own.suffix));
  }
  return labels;
}

}  // namespace apps
