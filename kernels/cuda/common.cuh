// What every .cu file of a kernel shares. These files are compiled twice: by nvcc, in namespace kernels::cuda, and by
// the host compiler, in namespace kernels::simt, where each thread is a fiber (kernels/simt/grid.h). MAE_GPU is the
// namespace.
#pragma once

#if defined(__CUDACC__)
#include "kernels/cuda/nvcc.cuh"
#else
#include "kernels/simt/words.h"
#endif
#include "kernels/core/launch.h"

namespace kernels::MAE_GPU {

inline constexpr unsigned full_warp = 0xffffffffu;
inline constexpr int lanes = 32;

/// Sum over the 32 lanes, the same bits in every lane: a butterfly adds the same pairs everywhere.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(full_warp, value, offset);
  return value;
}

__device__ inline float warp_max(float value) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) value = fmaxf(value, __shfl_xor_sync(full_warp, value, offset));
  return value;
}

/// Sum over a block of `threads` threads, the same bits in every thread: warps are added in order. The Id is that of
/// its shared memory, good for one sum a kernel.
template <int threads, int Id, class T>
__device__ inline T block_sum(T value) {
  auto sums = shared<T, threads / lanes, Id>();
  value = warp_sum(value);
  if (threadIdx.x % lanes == 0) sums[threadIdx.x / lanes] = value;
  __syncthreads();
  T total = 0;
  for (int w = 0; w < threads / lanes; ++w) total += sums[w];
  return total;
}

/// N elements moved by one load or store of up to 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <class T, int N>
__device__ inline Pack<T, N> load_pack(const T* from) {
  require_aligned(from, sizeof(Pack<T, N>));
  return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <class T, int N>
__device__ inline void widen(const Pack<T, N>& pack, float (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = static_cast<float>(pack.at[i]);
}

/// Both. Several loads that are to be under way together are load_pack first, all of them: this one waits.
template <class T, int N>
__device__ inline void load(const T* from, float (&to)[N]) {
  widen(load_pack<T, N>(from), to);
}

template <class T, int N>
__device__ inline void store(T* to, const float (&from)[N]) {
  require_aligned(to, sizeof(Pack<T, N>));
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.at[i] = T(from[i]);
  store_pack(reinterpret_cast<Pack<T, N>*>(to), pack);
}

/// Elements of 16 bytes: the widest pack.
template <class T>
inline constexpr int widest = 16 / static_cast<int>(sizeof(T));

/// True when rows of `view` can be moved in packs of N elements.
inline bool packs(const View& view, int N) {
  const std::size_t bytes = static_cast<std::size_t>(N) * size_of(view.dtype);
  return view.cols() % N == 0 && view.row_stride % N == 0 && reinterpret_cast<std::size_t>(view.data) % bytes == 0;
}

/// True when the views of a's that hold rows of C values of type T can all be moved in packs of 16 bytes.
template <class T, class Args>
bool wide(const Args& a, std::int64_t C) {
  bool ok = true;
  Args::fields(a, [&](const char*, const View& v, Role) {
    if (v && v.dtype == dtype_of<T> && v.cols() == C) ok = ok && packs(v, widest<T>);
  });
  return ok;
}

/// A view as a kernel takes it.
template <class T>
struct Matrix {
  T* data;
  long long stride;

  __device__ T* operator[](long long r) const { return data + r * stride; }
};
template <class T>
Matrix<T> matrix(const View& v) {
  return {v.as<T>(), v.row_stride};
}

inline unsigned blocks_for(long long items, long long each) { return static_cast<unsigned>((items + each - 1) / each); }

/// What rows of f32 and bf16 refuse; null: nothing.
inline const char* not_f32_or_bf16(const View& v) {
  return v.dtype == DType::f32 || v.dtype == DType::bf16 ? nullptr : "this row has f32 and bf16";
}

/// f(T{}) for the types of these rows, f32 and bf16.
template <class F>
void visit(DType type, F&& f) {
  type == DType::f32 ? f(float{}) : f(bf16{});
}

}  // namespace kernels::MAE_GPU
