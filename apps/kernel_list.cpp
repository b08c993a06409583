#include "apps/kernel_list.h"

#include "kernels/registry.h"

namespace apps {
namespace {

template <class Args>
std::vector<std::string> names(kernels::DeviceKind kind) {
  std::vector<std::string> rows;
  for (const auto& row : kernels::rows_of<Args>(kind)) rows.emplace_back(row.name);
  return rows;
}

struct Collect {
  std::vector<KernelRows>& list;
  template <class Args>
  void operator()() const {
    using kernels::DeviceKind;
    list.push_back(
        {Args::kernel, names<Args>(DeviceKind::cpu), names<Args>(DeviceKind::cuda), names<Args>(DeviceKind::simt)});
  }
};

}  // namespace

std::vector<KernelRows> kernel_list() {
  std::vector<KernelRows> list;
  kernels::for_each_kernel(kernels::AllKernels{}, Collect{list});
  return list;
}

}  // namespace apps
