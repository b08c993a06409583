#include "bench/once.h"

#include <algorithm>

#include "bench/operands.h"
#include "kernels/core/build.h"
#include "kernels/cuda/profile.h"

namespace bench {
namespace {

constexpr std::size_t warm_launches = 3;

}  // namespace

void run_once(const Work& work, const Device& device, const std::string& name) {
  const auto row = std::find_if(work.rows.begin(), work.rows.end(), [&](const Row& r) { return r.name == name; });
  if (row == work.rows.end()) throw Error("there is no row \"" + name + "\" in " + work.kernel, "--once");
  if (!row->refusal.empty()) throw Error(work.kernel + "=" + name + " refuses: " + row->refusal, work.shape);
  Stream stream(device);
  const auto scratch = device_memory(device, row->workspace);
  stream.lend_scratch(scratch.get(), row->workspace);
  Operands operands(work, device);
  operands.randomise(stream);
  if (row->tunes) work.tune(stream, operands.set(0), name, scratch.get());
  for (std::size_t i = 0; i < warm_launches; ++i) work.launch(stream, operands.set(i), name);
  stream.synchronize();
  const bool gpu = kernels::with_cuda && device.kind == DeviceKind::cuda;
  if constexpr (kernels::with_cuda) {
    if (gpu) kernels::cuda::start_profiler();
  }
  work.launch(stream, operands.set(warm_launches), name);
  stream.synchronize();
  if constexpr (kernels::with_cuda) {
    if (gpu) kernels::cuda::stop_profiler();
  }
}

}  // namespace bench
