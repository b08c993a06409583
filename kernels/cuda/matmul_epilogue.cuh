// What becomes of the sums of a product before they are stored, 8 of a row at a time: bias, activation, residual, what
// was there.
#pragma once

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/matmul.h"

namespace kernels::MAE_GPU {

/// A matrix of bf16 or f32 of which 8 elements of a row are moved at once, in packs of 16 bytes where its rows allow
/// it.
struct Rows8 {
  void* data;  // null: not there
  long long stride;
  bool f32, packed;
};

inline Rows8 rows8(const View& v) {
  const std::size_t pack = 16 / size_of(v.dtype);
  const bool rows = v.rows() <= 1 || static_cast<std::size_t>(v.row_stride) % pack == 0;
  return {.data = v.data,
          .stride = v.row_stride,
          .f32 = v.dtype == DType::f32,
          .packed = rows && reinterpret_cast<std::size_t>(v.data) % 16 == 0};
}

template <class T>
__device__ inline void read8(const T* from, int count, bool packed, float (&x)[8]) {
  if (packed && count == 8) {
#pragma unroll
    for (int i = 0; i < 8; i += widest<T>) {
      float pack[widest<T>];
      load(from + i, pack);
#pragma unroll
      for (int j = 0; j < widest<T>; ++j) x[i + j] = pack[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = i < count ? static_cast<float>(from[i]) : 0.0f;
  }
}

template <class T>
__device__ inline void write8(T* to, int count, bool packed, const float (&x)[8]) {
  if (packed && count == 8) {
#pragma unroll
    for (int i = 0; i < 8; i += widest<T>) {
      float pack[widest<T>];
#pragma unroll
      for (int j = 0; j < widest<T>; ++j) pack[j] = x[i + j];
      store(to + i, pack);
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i < count) to[i] = T(x[i]);
    }
  }
}

/// x = v[m][n ... n + count - 1], zeros behind.
__device__ inline void read8(const Rows8& v, long long m, int n, int count, float (&x)[8]) {
  const long long at = m * v.stride + n;
  if (v.f32) read8(static_cast<const float*>(v.data) + at, count, v.packed, x);
  else read8(static_cast<const bf16*>(v.data) + at, count, v.packed, x);
}
__device__ inline void write8(const Rows8& v, long long m, int n, int count, const float (&x)[8]) {
  const long long at = m * v.stride + n;
  if (v.f32) write8(static_cast<float*>(v.data) + at, count, v.packed, x);
  else write8(static_cast<bf16*>(v.data) + at, count, v.packed, x);
}

struct Epilogue {
  Rows8 bias, residual, pre, out;
  int M, N;
  bool accumulate;
};

inline Epilogue epilogue_of(const MatMul& s) {
  return {.bias = rows8(s.bias),
          .residual = rows8(s.residual),
          .pre = rows8(s.pre),
          .out = rows8(s.out),
          .M = static_cast<int>(s.m()),
          .N = static_cast<int>(s.n()),
          .accumulate = s.mode == Write::accumulate};
}

__device__ inline void add8(const Rows8& v, long long m, int n, int count, float (&x)[8]) {
  float more[8];
  read8(v, m, n, count, more);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] += more[i];
}

/// Stores the sums x of row m, columns n ... n + 7, as far as they are inside; x becomes what is stored, in f32.
template <Activation activation>
__device__ inline void finish(const Epilogue& e, int m, int n, float (&x)[8]) {
  const int count = m < e.M ? max(0, min(8, e.N - n)) : 0;
  if (count > 0) {
    if (e.bias.data) add8(e.bias, 0, n, count, x);
    if (activation == Activation::gelu) {
      if (e.pre.data) write8(e.pre, m, n, count, x);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = gelu(x[i]);
    }
    if (activation == Activation::gelu_backward) {
      float pre[8];
      read8(e.pre, m, n, count, pre);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] *= gelu_slope(pre[i]);
    }
    if (e.residual.data) add8(e.residual, m, n, count, x);
    if (e.accumulate) add8(e.out, m, n, count, x);
    write8(e.out, m, n, count, x);
  }
}

}  // namespace kernels::MAE_GPU
