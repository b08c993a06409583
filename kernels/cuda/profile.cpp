#include "kernels/cuda/profile.h"

#include <cuda_profiler_api.h>
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include "kernels/core/check.h"

namespace kernels::cuda {
namespace {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears it
  throw Error(cudaGetErrorString(status), call);
}

}  // namespace

void start_profiler() { check(cudaProfilerStart(), "cudaProfilerStart"); }
void stop_profiler() { check(cudaProfilerStop(), "cudaProfilerStop"); }

LaunchRange::LaunchRange(const Running& running) { nvtxRangePushA(running.kernel); }
LaunchRange::~LaunchRange() { nvtxRangePop(); }

void note_facts(const void* kernel, unsigned blocks, unsigned threads, std::size_t dynamic_shared) {
  const unsigned warps = blocks * ((threads + 31) / 32);
  if (warps <= asked_facts->warps) return;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
  int resident = 0, device = 0, most = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, static_cast<int>(threads), dynamic_shared),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxThreadsPerMultiProcessor, device), "cudaDeviceGetAttribute");
  *asked_facts = {.warps = warps,
                  .registers = attributes.numRegs,
                  .shared = attributes.sharedSizeBytes + dynamic_shared,
                  .occupancy = resident * static_cast<double>((threads + 31) / 32 * 32) / most};
}

}  // namespace kernels::cuda
