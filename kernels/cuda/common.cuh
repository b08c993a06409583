// What every .cu file shares: error checks, the one launch function, warp sums, vector loads.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "kernels/core/check.h"
#include "kernels/core/dtype.h"
#include "kernels/core/stream.h"

namespace kernels::cuda {

inline void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw Error(cudaGetErrorString(status), call);
}

struct Grid {
  unsigned blocks, threads;
  std::size_t shared = 0;  // bytes of dynamic shared memory
};

/// The one way to start a kernel: kernels/cuda has no <<<>>> outside this function.
template <class... Parameters, class... Arguments>
void run_kernel(Stream& stream, Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  kernel<<<grid.blocks, grid.threads, grid.shared, static_cast<cudaStream_t>(stream.native())>>>(
      Parameters(arguments)...);
  check(cudaGetLastError(), "kernel launch");
}

inline constexpr unsigned full_warp = 0xffffffffu;

/// Sum over the 32 lanes, the same bits in every lane: a butterfly adds the same pairs everywhere.
__device__ inline float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(full_warp, value, offset);
  return value;
}

/// Static shared memory: Count elements of T. The Id keeps two arrays of one type and size apart.
template <class T, int Count, int Id>
__device__ T* shared() {
  __shared__ T memory[Count];
  return memory;
}

/// N elements moved by one load or store of up to 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <class T, int N>
__device__ inline void load(const T* from, float (&to)[N]) {
  const auto pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = static_cast<float>(pack.at[i]);
}

template <class T, int N>
__device__ inline void store(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.at[i] = T(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// True when rows of `view` can be moved in packs of N elements.
template <int N>
bool packs(const View& view) {
  const std::size_t bytes = N * size_of(view.dtype);
  return view.cols() % N == 0 && view.row_stride % N == 0 && reinterpret_cast<std::size_t>(view.data) % bytes == 0;
}

}  // namespace kernels::cuda
