// The inner loops of matrix products whose operands lie in cache: a few rows of `a` times two vectors of columns of `b`
// at a time, so that all sums stay in registers. For use inside MAE_VECTOR functions, which compile it for their
// instruction set; hence inlined by force.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace kernels::cpu {

template <int lanes>
struct VectorOf {
  using type __attribute__((vector_size(lanes * sizeof(float)))) = float;
};

/// How much of out is in registers at once: so many rows of two vectors. One more vector holds a value of `a`, two a
/// row of `b`.
template <int vector_lanes, int tile_rows>
struct Tile {
  static constexpr std::int64_t lanes = vector_lanes, rows = tile_rows, columns = 2 * lanes;
  using Lanes = typename VectorOf<vector_lanes>::type;
};
using Tile8 = Tile<8, 6>;     // for sixteen registers of eight
using Tile16 = Tile<16, 14>;  // for thirty-two of sixteen (AVX-512)

inline constexpr std::int64_t lanes = Tile8::lanes;
inline constexpr std::int64_t rows_ahead = 16;  // of b, asked for while sums are made
inline constexpr std::int64_t chain = 384;      // products that are added one after the other
using Lanes = Tile8::Lanes;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

struct Product {
  const float* a;  // element (i, k) is a[i * a_row + k * a_k]
  std::int64_t a_row, a_k;
  const float* b;  // element (k, j) is b[k * b_row + j]
  std::int64_t b_row;
  float* c;  // element (i, j) is c[i * c_row + j]
  std::int64_t c_row;
  std::int64_t m, n, k;  // n is a multiple of the vector's lanes
  const float* start;    // what the sum is added to: element (i, j) is start[i * start_row + j]; null: 0
  std::int64_t start_row;
  const float* bias;  // (n) added to it; null: none
};

// From and to any address of a float. A reference to a type of less alignment would not do: clang forgets it.
template <class Vector = Lanes>
[[gnu::always_inline]] inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class Vector>
[[gnu::always_inline]] inline void store(float* to, Vector v) {
  std::memcpy(to, &v, sizeof v);
}

/// Every `chain` values of k begin a sum of their own, from 0: the error of a sum of 3,072 products is then that of
/// 384, and what the sums start from is added to a whole one.
template <class Tile, int rows, int vectors>
[[gnu::always_inline]] inline void product_tile(const Product& p, std::int64_t i, std::int64_t j) {
  using Vector = typename Tile::Lanes;
  const float *a = p.a + i * p.a_row, *b = p.b + j;
  std::int64_t k = 0;
  do {
    Vector sum[rows][vectors];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) sum[r][v] = Vector{};
    }
    // k is not unrolled: four times over, g++ 12 moves sums between registers, and 92 to 95 GFLOP/s of a core's 94
    // become 86 to 88 (2026-11-27, AVX2).
    for (const std::int64_t end = std::min(p.k, k + chain); k < end; ++k, a += p.a_k, b += p.b_row) {
      for (int line = 0; line < vectors * Tile::lanes; line += 16) __builtin_prefetch(b + rows_ahead * p.b_row + line);
      Vector row[vectors];
      for (int v = 0; v < vectors; ++v) row[v] = load<Vector>(b + v * Tile::lanes);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v) sum[r][v] += a[r * p.a_row] * row[v];
      }
    }
    const bool first = k <= chain;
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t column = j + v * Tile::lanes;
        float* c = p.c + (i + r) * p.c_row + column;
        Vector start{};
        if (!first) start = load<Vector>(c);
        if (first && p.start) start = load<Vector>(p.start + (i + r) * p.start_row + column);
        if (first && p.bias) start += load<Vector>(p.bias + column);
        store(c, start + sum[r][v]);
      }
    }
  } while (k < p.k);
}

/// A tile's rows of the product from row i on, or those that there are.
template <class Tile, int vectors, int rows = Tile::rows>
[[gnu::always_inline]] inline void product_rows(const Product& p, std::int64_t i, std::int64_t j) {
  if constexpr (rows > 1) {
    if (p.m - i < rows) return product_rows<Tile, vectors, rows - 1>(p, i, j);
  }
  product_tile<Tile, rows, vectors>(p, i, j);
}

/// c = start + bias + a b. Each element's sum runs over k in order, `chain` at a time.
template <class Tile>
[[gnu::always_inline]] inline void product(const Product& p) {
  std::int64_t j = 0;
  for (; j + Tile::columns <= p.n; j += Tile::columns) {
    for (std::int64_t i = 0; i < p.m; i += Tile::rows) product_rows<Tile, 2>(p, i, j);
  }
  if (j == p.n) return;
  for (std::int64_t i = 0; i < p.m; i += Tile::rows) product_rows<Tile, 1>(p, i, j);
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
  // from low to high addresses: where rows are shorter than a vector, the next one writes over what is too much
  for (int i = 0; i < 4; ++i)
    store(to + i * to_row, __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
  for (int i = 0; i < 4; ++i)
    store(to + (i + 4) * to_row, __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
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
