#include "kernels/c/table.h"

#include <algorithm>
#include <string_view>

#include "kernels/registry.h"

namespace kernels::c {
namespace {

template <class Args>
const Slots& default_slots() {
  static Args args{};
  static const Slots slots = slots_of(args);
  return slots;
}

template <class Args>
std::vector<const char*> row_names(DeviceKind kind) {
  std::vector<const char*> names;
  for (const Variant<Args>& row : rows_of<Args>(kind)) names.push_back(row.name);
  return names;
}

template <class Args>
void require_row(const std::string& row, DeviceKind kind) {
  const std::vector<const char*> names = row_names<Args>(kind);
  if (row.empty() || std::find(names.begin(), names.end(), row) != names.end()) return;
  throw Error("there is no row \"" + row + "\" on " + name_of(kind), Args::kernel, one_of(names));
}

template <class Args>
void run(mae_stream& stream, const Request& request) {
  const Device& device = stream.device();
  Args args{};
  bind(slots_of(args), request, device);
  require_row<Args>(request.row, device.kind);
  validate(args);
  stream.reserve(choose(device, args, request.row).scratch_bytes(device, args));
  launch(stream.stream, args, request.row);
}

struct Collect {
  std::vector<Kernel>& kernels;
  template <class Args>
  void operator()() const {
    kernels.push_back({Args::kernel, default_slots<Args>, row_names<Args>, run<Args>});
  }
};

}  // namespace

const std::vector<Kernel>& table() {
  static const std::vector<Kernel> all = [] {
    std::vector<Kernel> kernels;
    for_each_kernel(AllKernels{}, Collect{kernels});
    return kernels;
  }();
  return all;
}

const Kernel& find_kernel(const char* name) {
  if (!name) throw Error("the name of the kernel is null", "mae_kernels");
  std::vector<const char*> alike, names;
  const std::string_view wanted(name), stem = wanted.substr(0, wanted.find('_'));
  for (const Kernel& kernel : table()) {
    if (wanted == kernel.name) return kernel;
    names.push_back(kernel.name);
    if (!stem.empty() && std::string_view(kernel.name).starts_with(stem)) alike.push_back(kernel.name);
  }
  throw Error("there is no such kernel", name, one_of(alike.empty() ? names : alike));
}

}  // namespace kernels::c
