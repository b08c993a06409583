// The inner loops of matrix products whose operands lie in cache: six rows of `a` times sixteen columns of `b` at a
// time, so that twelve vectors of eight sums stay in registers. For use inside MAE_VECTOR functions, which compile it
// for their instruction set; hence inlined by force.
#pragma once

#include <cstdint>
#include <cstring>

namespace kernels::cpu {

inline constexpr std::int64_t tile_rows = 6, tile_columns = 16, lanes = 8;
inline constexpr std::int64_t rows_ahead = 16;  // of b, asked for while sums are made
using Lanes = float __attribute__((vector_size(32)));

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

struct Product {
  const float* a;  // element (i, k) is a[i * a_row + k * a_k]
  std::int64_t a_row, a_k;
  const float* b;  // element (k, j) is b[k * b_row + j]
  std::int64_t b_row;
  float* c;  // element (i, j) is c[i * c_row + j]
  std::int64_t c_row;
  std::int64_t m, n, k;  // n is a multiple of 8
  const float* start;    // what the sums start from: element (i, j) is start[i * start_row + j]; null: 0
  std::int64_t start_row;
  const float* bias;  // (n) added to it; null: none
};

// From and to any address of a float. A reference to a type of less alignment would not do: clang forgets it.
[[gnu::always_inline]] inline Lanes load(const float* from) {
  Lanes v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
[[gnu::always_inline]] inline void store(float* to, Lanes v) { std::memcpy(to, &v, sizeof v); }

template <int rows, int vectors>
[[gnu::always_inline]] inline void product_tile(const Product& p, std::int64_t i, std::int64_t j) {
  Lanes sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t column = j + v * lanes;
      sum[r][v] = p.start ? load(p.start + (i + r) * p.start_row + column) : Lanes{};
      if (p.bias) sum[r][v] += load(p.bias + column);
    }
  }
  const float *a = p.a + i * p.a_row, *b = p.b + j;
  // Not unrolled: four times over, g++ 12 moves sums between registers, and 92 to 95 GFLOP/s of a core's 94 become 86
  // to 88 (2026-11-27, AVX2).
  for (std::int64_t k = 0; k < p.k; ++k, a += p.a_k, b += p.b_row) {
    __builtin_prefetch(b + rows_ahead * p.b_row);
    Lanes row[vectors];
    for (int v = 0; v < vectors; ++v) row[v] = load(b + v * lanes);
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) sum[r][v] += a[r * p.a_row] * row[v];
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) store(p.c + (i + r) * p.c_row + j + v * lanes, sum[r][v]);
  }
}

/// Rows i ... i + 5 of the product, or those that there are.
template <int vectors>
[[gnu::always_inline]] inline void product_rows(const Product& p, std::int64_t i, std::int64_t j) {
  switch (p.m - i) {
    case 1:
      return product_tile<1, vectors>(p, i, j);
    case 2:
      return product_tile<2, vectors>(p, i, j);
    case 3:
      return product_tile<3, vectors>(p, i, j);
    case 4:
      return product_tile<4, vectors>(p, i, j);
    case 5:
      return product_tile<5, vectors>(p, i, j);
    default:
      return product_tile<tile_rows, vectors>(p, i, j);
  }
}

/// c = start + bias + a b. Each element's sum runs over k in order.
[[gnu::always_inline]] inline void product(const Product& p) {
  std::int64_t j = 0;
  for (; j + tile_columns <= p.n; j += tile_columns) {
    for (std::int64_t i = 0; i < p.m; i += tile_rows) product_rows<2>(p, i, j);
  }
  if (j == p.n) return;
  for (std::int64_t i = 0; i < p.m; i += tile_rows) product_rows<1>(p, i, j);
}

/// to[j * to_row + i] = scale * from[i * from_row + j] for i, j below 8, and 0 where i >= rows: three rounds of
/// exchanges between vectors.
[[gnu::always_inline]] inline void transpose_8x8(const float* from, std::int64_t from_row, std::int64_t rows,
                                                 float scale, float* to, std::int64_t to_row) {
  Lanes r[8], pairs[8], fours[8];
  for (int i = 0; i < 8; ++i) r[i] = i < rows ? scale * load(from + i * from_row) : Lanes{};
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      fours[i + 2 * j] = __builtin_shufflevector(pairs[i + j], pairs[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      fours[i + 2 * j + 1] = __builtin_shufflevector(pairs[i + j], pairs[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    store(to + i * to_row, __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store(to + (i + 4) * to_row, __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/// to (columns, to_row) = scale times the transpose of from (rows, from_row), filled with zeros up to the next multiple
/// of 8 rows, which to_row must have room for.
[[gnu::always_inline]] inline void transpose(const float* from, std::int64_t from_row, std::int64_t rows,
                                             std::int64_t columns, float scale, float* to, std::int64_t to_row) {
  for (std::int64_t i = 0; i < rows; i += lanes) {
    std::int64_t j = 0;
    for (; j + lanes <= columns; j += lanes)
      transpose_8x8(from + i * from_row + j, from_row, rows - i, scale, to + j * to_row + i, to_row);
    for (; j < columns; ++j) {
      for (std::int64_t x = i; x < i + lanes; ++x)
        to[j * to_row + x] = x < rows ? scale * from[x * from_row + j] : 0.0f;
    }
  }
}

}  // namespace kernels::cpu
