// The words of sm90.cuh for nvcc; their twins are in kernels/simt/words_sm90.h.
#pragma once

#include <cuda.h>  // types alone: the driver's function is asked for at run time

#include "kernels/core/matrix_descriptor.h"
#include "kernels/cuda/common.cuh"

namespace kernels::cuda {

/// Whether this pass of the compiler has these words: a kernel's body stands behind `if (has_sm90)`.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr bool has_sm90 = true;
#else
constexpr bool has_sm90 = false;
#endif

__device__ inline unsigned shared_address(const void* at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

/// Dynamic shared memory at a multiple of swizzle_tile.
template <class T>
__device__ T* dynamic_tiles() {
  extern __shared__ __align__(swizzle_tile) unsigned char dynamic_tile_memory[];
  return reinterpret_cast<T*>(dynamic_tile_memory);
}

// ---- mbarriers ------------------------------------------------------------------------------------------------------

struct Mbarrier {
  unsigned long long state;
};

template <int Count, int Id>
__device__ Mbarrier* mbarriers() {
  return shared<Mbarrier, Count, Id>();
}

__device__ inline void mbarrier_init(Mbarrier* b, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
/// Behind the last init and before a barrier of the threads: bulk copies and other blocks see it too.
__device__ inline void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void mbarrier_arrive(Mbarrier* b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
/// The same at what the block of that rank of the cluster has in the place of b. Orders nothing that other blocks read
/// as usual: it is for tiles that wgmma has read and bulk copies overwrite.
__device__ inline void mbarrier_arrive_at(Mbarrier* b, unsigned rank) {
  asm volatile(
      "{\n\t.reg .b32 there;\n\tmapa.shared::cluster.u32 there, %0, %1;\n\t"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n\t}" ::"r"(shared_address(b)),
      "r"(rank)
      : "memory");
}
/// An arrival whose phase also waits for `bytes` of bulk copies.
__device__ inline void mbarrier_expect(Mbarrier* b, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
               : "memory");
}
__device__ inline void mbarrier_wait(Mbarrier* b, unsigned parity) {
  unsigned over = 0;
  while (!over) {
    asm volatile(
        "{\n\t.reg .pred over;\n\tmbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n\t"
        "selp.u32 %0, 1, 0, over;\n\t}"
        : "=r"(over)
        : "r"(shared_address(b)), "r"(parity)
        : "memory");
  }
}

// ---- bulk copies of tiles -------------------------------------------------------------------------------------------

/// A matrix of bf16 and the size of the tiles that are copied from it. Kernels take it in a parameter that is
/// `const __grid_constant__`.
using TensorMap = CUtensorMap;

inline TensorMap tensor_map(const View& v, int box_rows) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result),
          "cudaGetDriverEntryPointByVersion");
    if (result != cudaDriverEntryPointSuccess)
      throw Error("the NVIDIA driver has no cuTensorMapEncodeTiled", "bulk copies", "a driver for CUDA 12 or newer");
    return reinterpret_cast<Encode>(found);
  }();
  const cuuint64_t sides[] = {static_cast<cuuint64_t>(v.cols()), static_cast<cuuint64_t>(v.rows())};
  const cuuint64_t stride[] = {static_cast<cuuint64_t>(v.row_stride) * sizeof(bf16)};
  const cuuint32_t box[] = {swizzle_bytes / sizeof(bf16), static_cast<cuuint32_t>(box_rows)}, every[] = {1, 1};
  TensorMap map;
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, v.data, sides, stride, box, every,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw Error("error " + std::to_string(result), "cuTensorMapEncodeTiled");
  return map;
}

/// box_rows x 64 elements from (row, column) on, with zeros beyond the edges, to a multiple of swizzle_tile; they count
/// as whole.
__device__ inline void bulk_copy(bf16* to, const TensorMap& from, int row, int column, Mbarrier* b) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(shared_address(to)),
      "l"(&from), "r"(column), "r"(row), "r"(shared_address(b))
      : "memory");
}

/// The same to that place of each block whose rank in the cluster is a bit of `ranks`, reported to its own b.
__device__ inline void bulk_copy_to(unsigned ranks, bf16* to, const TensorMap& from, int row, int column, Mbarrier* b) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%2, %3}], [%4], %5;" ::"r"(shared_address(to)),
      "l"(&from), "r"(column), "r"(row), "r"(shared_address(b)), "h"(static_cast<unsigned short>(ranks))
      : "memory");
}

/// __syncthreads for all threads of a cluster.
__device__ inline void cluster_barrier() {
  __syncwarp();
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// ---- products of a warpgroup: all of its 128 threads together -------------------------------------------------------

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int GroupsLeft>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(GroupsLeft) : "memory");
}
/// Nothing that reads the sums is moved before it.
template <int Count>
__device__ inline void wgmma_wait_all(Accumulators (&sums)[Count]) {
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < Count; ++i) {
#pragma unroll
    for (int j = 0; j < 16; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) asm volatile("" : "+f"(sums[i].at[j].at[e])::"memory");
    }
  }
}

/// c = a b, or c += a b where it adds, with a (64, 16) and b (16, 128).
template <bool k_down_a, bool k_down_b>
__device__ inline void wgmma(Accumulators& c, MatrixDescriptor a, MatrixDescriptor b, bool adds) {
#define MAE_FRAGMENT(j) "+f"(c.at[j].at[0]), "+f"(c.at[j].at[1]), "+f"(c.at[j].at[2]), "+f"(c.at[j].at[3])
  asm volatile(
      "{\n\t.reg .pred adds;\n\tsetp.ne.b32 adds, %66, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, "
      "%35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, "
      "%57, %58, %59, %60, %61, %62, %63}, %64, %65, adds, 1, 1, %67, %68;\n\t}"
      : MAE_FRAGMENT(0), MAE_FRAGMENT(1), MAE_FRAGMENT(2), MAE_FRAGMENT(3), MAE_FRAGMENT(4), MAE_FRAGMENT(5),
        MAE_FRAGMENT(6), MAE_FRAGMENT(7), MAE_FRAGMENT(8), MAE_FRAGMENT(9), MAE_FRAGMENT(10), MAE_FRAGMENT(11),
        MAE_FRAGMENT(12), MAE_FRAGMENT(13), MAE_FRAGMENT(14), MAE_FRAGMENT(15)
      : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(adds)), "n"(k_down_a), "n"(k_down_b));
#undef MAE_FRAGMENT
}

// ---- registers, caches ----------------------------------------------------------------------------------------------

/// All threads of a warpgroup: from here on it has this many registers a thread, a multiple of 8.
template <int Count>
__device__ inline void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
__device__ inline void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}

/// The line at this address will be read: it comes to L2.
__device__ inline void prefetch(const void* at) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(at)));
}

}  // namespace kernels::cuda
