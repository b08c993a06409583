// The words that kernels/cuda/*.cu use beside CUDA C++ itself, for nvcc: what kernels/simt/words.h is for the host
// compiler. PTX stands here and nowhere else.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "kernels/core/check.h"
#include "kernels/core/dtype.h"
#include "kernels/core/stream.h"

#define MAE_GPU cuda

namespace kernels::cuda {

/// The runtime's error is cleared before it is thrown: who catches it and goes on must not meet it at the next launch.
inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Error(cudaGetErrorString(status), call);
}

/// A kernel that fails is heard of at some later call: `last` is the last launch before it.
inline void check_kernels(cudaError_t status, const Running& last) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Error(cudaGetErrorString(status),
              *last.row ? std::string("a kernel up to ") + last.kernel + "=" + last.row : std::string(last.kernel),
              "CUDA_LAUNCH_BLOCKING=1 and --no-graph, which name the kernel; the last checkpoint is whole");
}

struct Grid {
  unsigned blocks, threads;
  std::size_t shared = 0;  // bytes of dynamic shared memory
};

/// The one way to start a kernel: kernels/cuda has no <<<>>> outside this function.
template <class... Parameters, class... Arguments>
void run_kernel(Stream& stream, Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  constexpr std::size_t unasked = std::size_t{48} << 10;  // dynamic shared memory that every kernel may have
  if (grid.shared > unasked)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.shared)),
          "cudaFuncSetAttribute");
  stream.running.warps = std::max(stream.running.warps, grid.blocks * ((grid.threads + 31) / 32));
  kernel<<<grid.blocks, grid.threads, grid.shared, static_cast<cudaStream_t>(stream.native())>>>(
      Parameters(arguments)...);
  check_kernels(cudaGetLastError(), stream.running);
}

/// Static shared memory: Count elements of T. The Id keeps two arrays of one type and size apart.
template <class T, int Count, int Id>
__device__ T* shared() {
  __shared__ __align__(16) unsigned char memory[Count * sizeof(T)];
  return reinterpret_cast<T*>(memory);
}

/// Dynamic shared memory: as many elements as the launch asked bytes for.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char dynamic_memory[];
  return reinterpret_cast<T*>(dynamic_memory);
}

__device__ inline void require_aligned(const void*, std::size_t) {}  // the hardware does

/// Writes a pack by one instruction: left alone, nvcc 13 cuts some of them into words. Only packs that the same thread
/// does not read again.
template <class P>
__device__ inline void store_pack(P* to, const P& pack) {
  const auto address = __cvta_generic_to_global(to);
  if constexpr (sizeof(P) == 16) {
    uint4 w;
    memcpy(&w, &pack, sizeof w);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(w.x), "r"(w.y), "r"(w.z), "r"(w.w));
  } else if constexpr (sizeof(P) == 8) {
    uint2 w;
    memcpy(&w, &pack, sizeof w);
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(address), "r"(w.x), "r"(w.y));
  } else {
    *to = pack;
  }
}

/// cp.async: 16 bytes from global to shared memory without a register; there after the wait for their group.
template <class T>
__device__ inline void cp_async16(T* to, const T* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int GroupsLeft>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GroupsLeft) : "memory");
}

}  // namespace kernels::cuda
