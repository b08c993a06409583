#include "kernels/cuda/foreign.h"

#include <cuda_runtime_api.h>

namespace kernels::cuda {

int current_device() noexcept {
  int device = -1;
  if (cudaGetDevice(&device) == cudaSuccess) return device;
  cudaGetLastError();  // clears the error
  return -1;
}

void make_current(int device) noexcept { cudaSetDevice(device); }

void* default_stream() noexcept { return cudaStreamLegacy; }

}  // namespace kernels::cuda
