// The words that kernels/cuda/*.cu use beside CUDA C++ itself, for nvcc: what kernels/simt/words.h is for the host
// compiler. PTX stands here and in nvcc_sm90.cuh.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "kernels/core/check.h"
#include "kernels/core/dtype.h"
#include "kernels/core/fragments.h"
#include "kernels/core/stream.h"
#include "kernels/cuda/profile.h"

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
  unsigned cluster = 1;    // blocks that run together: 1, or from compute capability 9.0 on up to 8
};

/// The one way to start a kernel: kernels/cuda has no launch outside this function.
template <class... Parameters, class... Arguments>
void run_kernel(Stream& stream, Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  // 48 KiB may be had without asking, static memory among them: room for 16 KiB of that
  constexpr std::size_t unasked = std::size_t{32} << 10;
  if (grid.shared > unasked)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.shared)),
          "cudaFuncSetAttribute");
  const LaunchRange range(stream.running);
  if (asked_facts) note_facts(reinterpret_cast<const void*>(kernel), grid.blocks, grid.threads, grid.shared);
  stream.running.warps = std::max(stream.running.warps, grid.blocks * ((grid.threads + 31) / 32));
  cudaLaunchAttribute cluster{.id = cudaLaunchAttributeClusterDimension};
  cluster.val.clusterDim = {grid.cluster, 1, 1};
  const cudaLaunchConfig_t launch{.gridDim = grid.blocks,
                                  .blockDim = grid.threads,
                                  .dynamicSmemBytes = grid.shared,
                                  .stream = static_cast<cudaStream_t>(stream.native()),
                                  .attrs = &cluster,
                                  .numAttrs = grid.cluster > 1};
  check_kernels(cudaLaunchKernelEx(&launch, kernel, Parameters(arguments)...), stream.running);
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

/// The same memory as elements of another type, behind a barrier, when nobody wants what it held.
template <class T>
__device__ T* dynamic_shared_again() {
  return dynamic_shared<T>();
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
/// The same, of the first `bytes` alone; behind them zeros. With 0 bytes nothing is read.
template <class T>
__device__ inline void cp_async16_filled(T* to, const T* from, int bytes) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(bytes)
      : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int GroupsLeft>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GroupsLeft) : "memory");
}

// ---- tensor cores: all 32 lanes of a warp together; fragments.h says who holds what ---------------------------------

/// c += a b.
__device__ inline void mma(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]));
}

/// Four 8 x 8 matrices from shared memory. Lane l points to row l % 8 of matrix l / 8, 8 elements at a multiple of 16
/// bytes; to[i] is then row lane / 4, columns 2 (lane % 4) and the next one, of matrix i.
__device__ inline void ldmatrix4(unsigned (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}
/// The same with each matrix transposed: to[i] is rows 2 (lane % 4) and the next one, column lane / 4, of matrix i.
__device__ inline void ldmatrix4_transposed(unsigned (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// Two values as bf16 in one word, `low` in its lower half.
__device__ inline unsigned bf16_pair(float low, float high) {
  unsigned word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

/// Two neighbours in shared memory moved as one word, the first in its lower half. `to` is even elements from the
/// start.
__device__ inline void store_pair(bf16* to, unsigned pair) { *reinterpret_cast<unsigned*>(to) = pair; }
__device__ inline unsigned load_pair(const bf16* from) { return *reinterpret_cast<const unsigned*>(from); }

/// x, as a number that the compiler knows nothing of: what follows from it is made where it is needed, not before a
/// loop and held in a register all the way.
__device__ inline int anew(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

/// 2^x by the special function unit: relative error 2^-22, results below 2^-126 are 0.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// 1 / x by the special function unit: relative error 2^-23, results below 2^-126 are 0.
__device__ inline float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// log2 of x by the special function unit: error 2^-22, relative, or absolute where x is between 0.5 and 2.
__device__ inline float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace kernels::cuda
