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

/// Rows of 8 that are under way together: x[r] = from[at[r]] and what follows.
template <class T, int R>
__device__ inline void read8(const T* from, const long long (&at)[R], int count, bool packed, float (&x)[R][8]) {
  if (packed && count == 8) {
#pragma unroll
    for (int i = 0; i < R * 8; i += widest<T>) {
      float pack[widest<T>];
      load(from + at[i / 8] + i % 8, pack);
#pragma unroll
      for (int j = 0; j < widest<T>; ++j) x[i / 8][i % 8 + j] = pack[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < R * 8; ++i)
      x[i / 8][i % 8] = i % 8 < count ? static_cast<float>(from[at[i / 8] + i % 8]) : 0.0f;
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

/// x[r] = v[m[r]][n ... n + count - 1], zeros behind.
template <int R>
__device__ inline void read8(const Rows8& v, const int (&m)[R], int n, int count, float (&x)[R][8]) {
  long long at[R];
#pragma unroll
  for (int r = 0; r < R; ++r) at[r] = m[r] * v.stride + n;
  if (v.f32) read8(static_cast<const float*>(v.data), at, count, v.packed, x);
  else read8(static_cast<const bf16*>(v.data), at, count, v.packed, x);
}
__device__ inline void write8(const Rows8& v, long long m, int n, int count, const float (&x)[8]) {
  const long long at = m * v.stride + n;
  if (v.f32) write8(static_cast<float*>(v.data) + at, count, v.packed, x);
  else write8(static_cast<bf16*>(v.data) + at, count, v.packed, x);
}

struct Epilogue {
  Rows8 bias, added, pre, out;  // added: the residual, or what was there
  int M, N;
};

inline Epilogue epilogue_of(const MatMul& s) {
  return {.bias = rows8(s.bias),
          .added = rows8(s.mode == Write::accumulate ? s.out : s.residual),
          .pre = rows8(s.pre),
          .out = rows8(s.out),
          .M = static_cast<int>(s.m()),
          .N = static_cast<int>(s.n())};
}

template <int R>
__device__ inline void add8(const Rows8& v, const int (&m)[R], int n, int count, float (&x)[R][8]) {
  float more[R][8];
  read8(v, m, n, count, more);
#pragma unroll
  for (int i = 0; i < R * 8; ++i) x[i / 8][i % 8] += more[i / 8][i % 8];
}

/// Stores the sums x[r] of row m + r * apart, columns n ... n + 7, as far as they are inside; x becomes what is stored,
/// in f32.
template <Activation activation, int R>
__device__ inline void finish(const Epilogue& e, int m, int apart, int n, float (&x)[R][8]) {
  const int count = min(8, e.N - n);
  if (count <= 0) return;
  int row[R], first[R] = {};
#pragma unroll
  for (int r = 0; r < R; ++r) row[r] = m + r * apart < e.M ? m + r * apart : m;
  if (e.bias.data) add8(e.bias, first, n, count, x);
  if (activation == Activation::gelu_backward) {
    float pre[R][8];
    read8(e.pre, row, n, count, pre);
#pragma unroll
    for (int i = 0; i < R * 8; ++i) x[i / 8][i % 8] *= gelu_slope(pre[i / 8][i % 8]);
  }
  if (e.added.data) add8(e.added, row, n, count, x);
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (m + r * apart >= e.M) break;
    if (activation == Activation::gelu) {
      if (e.pre.data) write8(e.pre, row[r], n, count, x[r]);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[r][i] = gelu(x[r][i]);
    }
    write8(e.out, row[r], n, count, x[r]);
  }
}

}  // namespace kernels::MAE_GPU
