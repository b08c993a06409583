#include "bench/ceilings.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/contest.h"

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
    ContestOptions options{.protocol = {.min_time = 0.1, .rounds = 3}, .rows = {}, .check = false};
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

}  // namespace

double Ceilings::floor_us(const Cost& cost, DType type, bool& by_bytes) const {
  const auto product = products.find(type);
  const double bytes_us = bandwidth.rate > 0 ? cost.bytes / bandwidth.rate * 1e6 : 0,
               flops_us =
                   product != products.end() && product->second.rate > 0 ? cost.flops / product->second.rate * 1e6 : 0;
  by_bytes = bytes_us >= flops_us;
  return std::max(bytes_us, flops_us);
}

Ceilings measure_ceilings(const Device& device, const std::vector<Kernel>& kernels,
                          const std::vector<DType>& products) {
  const bool gpu = device.kind == DeviceKind::cuda;
  Ceilings ceilings;
  ceilings.bandwidth = best_rate(device, kernel_named(kernels, "cast"), gpu ? "R=1 C=536870912" : "R=1 C=16777216",
                                 DType::f32, true, same_types);
  for (const DType type : products) {
    const bool large = gpu && type == DType::bf16;
    ceilings.products[type] = best_rate(device, kernel_named(kernels, "matmul"),
                                        large ? "M=8192 N=8192 K=8192"
                                        : gpu ? "M=4096 N=4096 K=4096"
                                              : "M=768 N=768 K=768",
                                        type, false, any_types);
  }
  return ceilings;
}

}  // namespace bench
