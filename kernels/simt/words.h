// The words of CUDA C++ that kernels/cuda/*.cu use, for the host compiler: what nvcc.cuh is for nvcc.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/core/dtype.h"
#include "kernels/core/fragments.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/matrix.h"
#include "kernels/simt/shared.h"

#define MAE_GPU simt
#define __global__
#define __device__
#define __launch_bounds__(...)

namespace kernels::simt {

using std::isfinite;
using std::max;
using std::min;

/// The one way to start a kernel.
template <class... Parameters, class... Arguments>
void run_kernel(Stream& stream, Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  auto body = [&] { kernel(Parameters(arguments)...); };
  run_grid(
      stream, grid, [](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body);
}

// ---- threads of a block, lanes of a warp ----------------------------------------------------------------------------
// The last two arguments are where the call stands: for messages.

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  block_barrier({file, line});
}

inline void __syncwarp(unsigned mask = ~0u, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  meet(WarpStep::sync, mask, 0, threadIdx.x % warp_lanes, {file, line});
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source, Place place) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = meet(WarpStep::shuffle, mask, bits, source, place);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return shuffle(mask, value, static_cast<unsigned>(source) % warp_lanes, {file, line});
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return shuffle(mask, value, (threadIdx.x ^ static_cast<unsigned>(bits)) % warp_lanes, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, bool holds, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  return static_cast<unsigned>(meet(WarpStep::ballot, mask, holds, threadIdx.x % warp_lanes, {file, line}));
}

// ---- memory ---------------------------------------------------------------------------------------------------------

template <class T>
constexpr const char* name_of_type() {
  return name_of(dtype_of<T>);
}

template <class T, int Count, int Id>
Shared<T> shared() {
  return Shared<T>(shared_array(name_of_type<T>(), sizeof(T), Count, Id));
}

template <class T>
Shared<T> dynamic_shared() {
  return Shared<T>(dynamic_array(name_of_type<T>(), sizeof(T)));
}

template <class T>
Shared<T> dynamic_shared_again(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return Shared<T>(dynamic_array_again(name_of_type<T>(), sizeof(T), {file, line}));
}

/// A GPU traps where an address is not a multiple of what is moved; here the launch stops.
inline void require_aligned(const void* address, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    stop("moves " + std::to_string(bytes) + " bytes at once at an address that is not a multiple of them");
}

template <class P>
void store_pack(P* to, const P& pack) {
  *to = pack;
}

template <class T>
void copy16(Shared<T> to, const T* from, int bytes, Place place) {
  if (bytes > 0) require_aligned(from, 16);
  if (static_cast<std::size_t>(to.at()) * sizeof(T) % 16 != 0)
    stop("moves 16 bytes at once to an address that is not a multiple of them", place);
  copy_async16(to.array(), to.at(), from, static_cast<std::size_t>(bytes), place);
}
template <class T>
void cp_async16(Shared<T> to, const T* from, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  copy16(to, from, 16, {file, line});
}
template <class T>
void cp_async16_filled(Shared<T> to, const T* from, int bytes, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  copy16(to, from, bytes, {file, line});
}
inline void cp_async_commit() { commit_async(); }
template <int GroupsLeft>
void cp_async_wait(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  wait_async(GroupsLeft, {file, line});
}

// ---- tensor cores ---------------------------------------------------------------------------------------------------

inline void mma(FragmentC& c, const FragmentA& a, const FragmentB& b, const char* file = __builtin_FILE(),
                int line = __builtin_LINE()) {
  multiply({&c, &a, &b}, {file, line});
}

inline void ldmatrix4(unsigned (&to)[4], Shared<bf16> row, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  load_matrices(WarpStep::ldmatrix, to, row.array(), row.at(), {file, line});
}
inline void ldmatrix4_transposed(unsigned (&to)[4], Shared<bf16> row, const char* file = __builtin_FILE(),
                                 int line = __builtin_LINE()) {
  load_matrices(WarpStep::ldmatrix_transposed, to, row.array(), row.at(), {file, line});
}

inline unsigned bf16_pair(float low, float high) {
  return bf16(low).bits | static_cast<unsigned>(bf16(high).bits) << 16;
}

inline void require_even(Shared<bf16> address, Place place) {
  if (address.at() % 2 != 0) stop("moves 4 bytes at once at an address that is not a multiple of them", place);
}
inline void store_pair(Shared<bf16> to, unsigned pair, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  require_even(to, {file, line});
  bf16 low, high;
  low.bits = static_cast<std::uint16_t>(pair), high.bits = static_cast<std::uint16_t>(pair >> 16);
  to[{0, file, line}] = low, to[{1, file, line}] = high;
}
inline unsigned load_pair(Shared<bf16> from, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  require_even(from, {file, line});
  const bf16 low = from[{0, file, line}], high = from[{1, file, line}];
  return low.bits | static_cast<unsigned>(high.bits) << 16;
}

inline int anew(int x) { return x; }

inline float exp2_fast(float x) {
  const float y = std::exp2(x);
  return y < FLT_MIN ? 0.0f : y;
}
inline float reciprocal_fast(float x) {
  const float y = 1.0f / x;
  return std::abs(y) < FLT_MIN ? 0.0f : y;
}
inline float log2_fast(float x) { return std::log2(x); }

}  // namespace kernels::simt
