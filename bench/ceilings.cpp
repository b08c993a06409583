#include "bench/ceilings.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/contest.h"
#include "bench/peak.h"

namespace bench {
namespace {

const Kernel& kernel_named(const std::vector<Kernel>& kernels, const std::string& name) {
  return *std::find_if(kernels.begin(), kernels.end(), [&](const Kernel& k) { return k.name == name; });
}

/// The best rate on the first variation of a case that `takes` likes.
Ceiling best_rate(const Device& device, const Kernel& kernel, const std::string& shape, DType type, bool of_bytes,
                  bool (*takes)(const Work&)) {
  Ceiling best;
  for (const Work& work : kernel.works(device, shape, type, true)) {
    if (!takes(work)) continue;
    ContestOptions options{.protocol = {.min_time = 0.1, .max_time = 0.1, .rounds = 3}, .rows = {}, .check = false};
    for (const Row& row : work.rows) {  // the one that is taken, and the libraries'
      if (!row.refusal.empty() || row.reduced_precision) continue;
      if (options.rows.empty() || row.vendor) options.rows.push_back(row.name);
    }
    for (const Result& result : run_contest(work, device, options).results) {
      if (result.times.us.empty()) continue;
      const double rate = (of_bytes ? work.cost.bytes : work.cost.flops) / (result.times.median * 1e-6);
      if (rate > best.rate)
        best = {rate, fmt::format("{}={}, {}, {}", work.kernel, result.row.name, shape, name_of(type))};
    }
    break;
  }
  return best;
}

bool same_types(const Work& work) { return work.fields[0].view.dtype == work.fields[1].view.dtype; }
bool any_types(const Work&) { return true; }

/// On the CPU a product of 2048 a side, where that does not take long: one of 768 wakes its threads too often.
Ceiling product_rate(const Device& device, const Kernel& matmul, DType type) {
  const auto of = [&](int side) {
    return best_rate(device, matmul, fmt::format("M={0} N={0} K={0}", side), type, false, any_types);
  };
  if (device.kind == DeviceKind::cuda) return of(type == DType::bf16 ? 8192 : 4096);
  const Ceiling small = of(768);
  if (small.rate < 2.0 * 2048 * 2048 * 2048 / 0.25) return small;
  const Ceiling large = of(2048);
  return large.rate > small.rate ? large : small;
}

}  // namespace

double Ceilings::floor_us(const Cost& cost, DType type, bool& by_bytes) const {
  const auto product = products.find(type);
  const double bytes_us = bandwidth.rate > 0 ? cost.bytes / bandwidth.rate * 1e6 : 0,
               flops_us =
                   product != products.end() && product->second.rate > 0 ? cost.flops / product->second.rate * 1e6 : 0;
  by_bytes = bytes_us >= flops_us;
  return std::max(bytes_us, flops_us);
}

double Ceilings::peak(DType type) const {
  const auto& all = fma.empty() ? products : fma;
  const auto found = all.find(type);
  return found == all.end() ? 0 : found->second.rate;
}

Ceiling measure_fma(DType type) {
  Ceiling ceiling;
  ceiling.rate = fma_peak(type, ceiling.what);
  return ceiling;
}

Ceilings measure_ceilings(const Device& device, const std::vector<Kernel>& kernels,
                          const std::vector<DType>& products) {
  const bool gpu = device.kind == DeviceKind::cuda;
  Ceilings ceilings;
  ceilings.bandwidth = best_rate(device, kernel_named(kernels, "cast"), gpu ? "R=1 C=536870912" : "R=1 C=16777216",
                                 DType::f32, true, same_types);
  for (const DType type : products) {
    ceilings.products[type] = product_rate(device, kernel_named(kernels, "matmul"), type);
  }
  if (gpu) return ceilings;
  const Ceiling single = measure_fma(DType::f32);
  for (const DType type : products) ceilings.fma[type] = type == DType::f64 ? measure_fma(type) : single;
  return ceilings;
}

}  // namespace bench
