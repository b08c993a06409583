// The words of kernels/cuda/sm90.cuh for the host compiler: what nvcc_sm90.cuh is for nvcc.
#pragma once

#include "kernels/core/check.h"
#include "kernels/simt/bulk_copy.h"
#include "kernels/simt/mbarrier.h"
#include "kernels/simt/wgmma.h"
#include "kernels/simt/words.h"

#define __grid_constant__

namespace kernels::simt {

constexpr bool has_sm90 = true;

/// Of dynamic shared memory, from its start.
template <class T>
unsigned shared_address(Shared<T> at) {
  return static_cast<unsigned>(static_cast<std::size_t>(at.at()) * sizeof(T));
}

template <class T>
Shared<T> dynamic_tiles() {
  return dynamic_shared<T>();
}

template <int Count, int Id>
Mbarrier* mbarriers() {
  shared_array("mbarrier", sizeof(std::uint64_t), Count, Id);  // takes its room
  return mbarrier_array(Count, Id);
}
inline void mbarrier_init(Mbarrier* b, unsigned arrivals, const char* file = __builtin_FILE(),
                          int line = __builtin_LINE()) {
  init(*b, arrivals, {file, line});
}
inline void mbarrier_init_fence() { fence_inits(); }
inline void cluster_barrier(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cluster_barrier(Place{file, line});
}
inline void mbarrier_arrive(Mbarrier* b, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  arrive(*b, 0, {file, line});
}
inline void mbarrier_arrive_at(Mbarrier* b, unsigned rank, const char* file = __builtin_FILE(),
                               int line = __builtin_LINE()) {
  arrive(of_rank(*b, rank, {file, line}), 0, {file, line});
}
inline void mbarrier_expect(Mbarrier* b, unsigned bytes, const char* file = __builtin_FILE(),
                            int line = __builtin_LINE()) {
  arrive(*b, bytes, {file, line});
}
inline void mbarrier_wait(Mbarrier* b, unsigned parity, const char* file = __builtin_FILE(),
                          int line = __builtin_LINE()) {
  wait_for(*b, parity, {file, line});
}

inline TensorMap tensor_map(const View& v, int box_rows) {
  if (!fits_tensor_map(v) || box_rows > 256) throw Error("no tensor map of this matrix", "simt");
  return {.data = v.as<bf16>(), .stride = v.row_stride, .rows = v.rows(), .columns = v.cols(), .box_rows = box_rows};
}
inline void bulk_copy(Shared<bf16> to, const TensorMap& from, int row, int column, Mbarrier* b,
                      const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  copy_bulk(to.at(), from, row, column, *b, 0, {file, line});
}
inline void bulk_copy_to(unsigned ranks, Shared<bf16> to, const TensorMap& from, int row, int column, Mbarrier* b,
                         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  copy_bulk(to.at(), from, row, column, *b, ranks, {file, line});
}

inline void wgmma_fence() { fence_products(); }
template <bool k_down_a, bool k_down_b>
void wgmma(Accumulators& c, MatrixDescriptor a, MatrixDescriptor b, bool adds, const char* file = __builtin_FILE(),
           int line = __builtin_LINE()) {
  ask_for_product({&c, a, b, adds, k_down_a, k_down_b, {file, line}});
}
inline void wgmma_commit() { commit_products(); }
template <int GroupsLeft>
void wgmma_wait(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  wait_for_products(GroupsLeft, {file, line});
}
template <int Count>
void wgmma_wait_all(Accumulators (&)[Count], const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  wait_for_products(0, {file, line});
}

template <int Count>
void fewer_registers() {}
template <int Count>
void more_registers() {}
inline void prefetch(const void*) {}

}  // namespace kernels::simt
