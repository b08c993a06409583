// What the rows of matmul on the CPU share.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/matmul.h"

namespace kernels::cpu {

/// A product of fewer operations (some 10 us of vector code) runs on one thread.
inline bool worth_threads(const MatMul& s) { return cost(s).flops > 5e5; }

/// out = bias + residual in rows [m, m_end) and columns [n, n_end), zero where neither is given; out keeps what it
/// holds where the product is to be added to it. The product itself is then always added.
template <class T>
void start_out(const MatMul& s, std::int64_t m, std::int64_t m_end, std::int64_t n, std::int64_t n_end) {
  if (s.mode == Write::accumulate) return;
  const T* bias = s.bias.as<T>();
  for (; m < m_end; ++m) {
    const T* residual = s.residual ? s.residual.row<T>(m) : nullptr;
    T* out = s.out.row<T>(m);
    for (std::int64_t j = n; j < n_end; ++j) out[j] = (bias ? bias[j] : T(0)) + (residual ? residual[j] : T(0));
  }
}

/// matmul_tiled.cpp
std::size_t tiled_workspace(const Device& device, const MatMul& s);
void matmul_tiled(Stream& stream, const MatMul& s, void* scratch);

/// openblas.cpp, where the library is. Rows of out are cut into shares by the shape alone and each share is one call on
/// one thread, so the bits do not depend on the number of threads.
void matmul_openblas(Stream& stream, const MatMul& s, void* scratch);

}  // namespace kernels::cpu
