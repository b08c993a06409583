// What becomes of the sums of a product before they are stored, 8 of a row at a time: bias, activation, residual, what
// was there. And of the sums of columns that a kernel finds on the way.
#pragma once

#include <algorithm>

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

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

/// Stores the sums x[r] of row at[r], columns n ... n + 7, as far as they are inside; x becomes what is stored, in f32.
template <Activation activation, int R>
__device__ inline void finish(const Epilogue& e, const int (&at)[R], int n, float (&x)[R][8]) {
  const int count = min(8, e.N - n);
  if (count <= 0) return;
  int row[R], first[R] = {};
#pragma unroll
  for (int r = 0; r < R; ++r) row[r] = min(at[r], e.M - 1);
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
    if (at[r] >= e.M) break;  // rows go up
    if (activation == Activation::gelu) {
      if (e.pre.data) write8(e.pre, row[r], n, count, x[r]);
#pragma unroll
      for (int i = 0; i < 8; ++i) x[r][i] = gelu(x[r][i]);
    }
    write8(e.out, row[r], n, count, x[r]);
  }
}

// ---- for the host ---------------------------------------------------------------------------------------------------

/// What rows that count in int refuse; null: nothing.
inline const char* too_large(const MatMul& s) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  return std::max({s.m(), s.n(), s.k()}) <= most ? nullptr : "a side of more than 2^30 elements";
}

/// Which layers take an activation: the first of an MLP forward, the second backward. Others go by passes.
inline bool takes_activation(const MatMul& s) {
  const bool a_by_rows = s.a_layout == Layout::plain, b_by_rows = s.b_layout == Layout::plain;
  if (s.activation == Activation::gelu) return a_by_rows && !b_by_rows;
  return s.activation == Activation::none || (a_by_rows && b_by_rows);
}

/// A table of `rows` sums of every column, in f32 at the start of scratch, which become s.column_sum, in order.
inline ColumnSum columns_of(const MatMul& s, unsigned rows, void* scratch) {
  return {.x = view_of(scratch, DType::f32, {rows, s.n()}), .out = s.column_sum, .mode = s.sum_mode};
}
inline std::size_t column_table_bytes(const MatMul& s, unsigned rows) {
  return (static_cast<std::size_t>(rows * s.n()) * sizeof(float) + 255) / 256 * 256;
}
inline std::size_t column_workspace(const Device& device, const MatMul& s, unsigned rows) {
  const ColumnSum sums = columns_of(s, rows, nullptr);
  return column_table_bytes(s, rows) + choose(device, sums).scratch_bytes(device, sums);
}
inline void add_columns(Stream& stream, const MatMul& s, unsigned rows, void* scratch) {
  const ColumnSum sums = columns_of(s, rows, scratch);
  choose(stream.device(), sums).run(stream, sums, static_cast<std::byte*>(scratch) + column_table_bytes(s, rows));
}

}  // namespace kernels::MAE_GPU
