#include "apps/device_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/cli.h"
#include "apps/kernel_list.h"
#include "kernels/cpu/parallel.h"

namespace apps {

void add_device_options(OptionTable& options, DeviceOptions& device) {
  options.group("Device");
  options
      .add("device", device.device,
           "cpu, cuda, cuda:N, or simt (CUDA kernels on the CPU: slow); mae devices lists them")
      .shown_as("NAME");
  options.add("threads", device.threads, "threads of the CPU; 0: one for each core");
  options.add("rows", device.rows, "run this row of this kernel; repeatable").as("row").shown_as("KERNEL=ROW");
}

kernels::Device open_device(const DeviceOptions& options) {
  if (options.threads < 0) throw UsageError("there cannot be fewer than 0 threads", "--threads");
#ifdef _OPENMP
  if (options.threads > 0) omp_set_num_threads(options.threads);
#endif
  return kernels::find_device(options.device);
}

void force_rows(kernels::Stream& stream, const DeviceOptions& options) {
  const std::vector<KernelRows> list = kernel_list();
  std::vector<std::string> kernels;
  for (const KernelRows& entry : list) kernels.push_back(entry.kernel);
  for (const std::string& text : options.rows) {
    const std::string where = "--row " + text;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) throw UsageError("a forced row is written KERNEL=ROW", where);
    const std::string kernel = text.substr(0, equals), row = text.substr(equals + 1);
    const auto found = std::find(kernels.begin(), kernels.end(), kernel);
    if (found == kernels.end()) {
      const std::string near = nearest(kernel, kernels);
      throw UsageError(fmt::format("there is no kernel \"{}\"", kernel), where,
                       near.empty() ? fmt::format("one of {}", fmt::join(kernels, ", ")) : near + "=" + row);
    }
    const auto& rows = list[static_cast<std::size_t>(found - kernels.begin())].on(stream.device().kind);
    if (std::find(rows.begin(), rows.end(), row) == rows.end()) {
      throw UsageError(fmt::format("{} has no row \"{}\" on {}", kernel, row, name_of(stream.device().kind)), where,
                       rows.empty() ? "another --device" : fmt::format("one of {}", fmt::join(rows, ", ")));
    }
    stream.force(kernel, row);
  }
}

}  // namespace apps
