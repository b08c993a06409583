#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "kernels/core/build.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

// ---- reference: three loops

template <class T, class Out>
void row(const MatMul& s, std::int64_t m) {
  using Sum = Statistics<T>;
  const std::int64_t N = s.n(), K = s.k();
  const bool a_plain = s.a_layout == Layout::plain, b_plain = s.b_layout == Layout::plain;
  Out* out = s.out.row<Out>(m);
  for (std::int64_t n = 0; n < N; ++n) {
    Sum sum = 0;
    for (std::int64_t k = 0; k < K; ++k) {
      const T a = a_plain ? s.a.row<T>(m)[k] : s.a.row<T>(k)[m];
      const T b = b_plain ? s.b.row<T>(k)[n] : s.b.row<T>(n)[k];
      sum += Sum(a) * Sum(b);
    }
    if (s.bias) sum += Sum(s.bias.as<T>()[n]);
    if (s.residual) sum += Sum(s.residual.row<Out>(m)[n]);
    if (s.mode == Write::accumulate) sum += Sum(out[n]);
    out[n] = Out(sum);
  }
}

void reference(Stream&, const MatMul& s, void*) {
  visit_floating(s.a.dtype, [&]<class T>(T) {
    if (s.out.dtype == s.a.dtype) {
      parallel_for(
          s.m(), [&](std::int64_t m) { row<T, T>(s, m); }, worth_threads(s));
    } else {
      parallel_for(
          s.m(), [&](std::int64_t m) { row<T, Statistics<T>>(s, m); }, worth_threads(s));
    }
  });
}

// ---- tiled: out in blocks that threads share out, K in blocks whose panels of a and b fit in the second-level cache

constexpr std::int64_t block_m = 16 * tile_rows, block_k = 256, most_block_n = 256;
constexpr std::int64_t packed_floats = (block_m + most_block_n) * block_k;  // of one worker

// a's rows [m, m + rows) and columns [k, k + depth) as panels (rows / 6, depth, 6)
MAE_VECTOR void pack_a(const MatMul& s, std::int64_t m, std::int64_t rows, std::int64_t k, std::int64_t depth,
                       float* to) {
  if (s.a_layout == Layout::plain) {
    for (std::int64_t i = 0; i < rows; ++i) {
      float* panel = to + i / tile_rows * tile_rows * depth + i % tile_rows;
      const float* from = s.a.row<float>(m + i) + k;
      for (std::int64_t j = 0; j < depth; ++j) panel[j * tile_rows] = from[j];
    }
    return;
  }
  for (std::int64_t j = 0; j < depth; ++j) {
    const float* from = s.a.row<float>(k + j) + m;
    for (std::int64_t i = 0; i < rows; i += tile_rows) {
      float* panel = to + i * depth + j * tile_rows;
      if (i + tile_rows <= rows) {
        for (std::int64_t r = 0; r < tile_rows; ++r) panel[r] = from[i + r];
      } else {
        for (std::int64_t r = 0; r < rows - i; ++r) panel[r] = from[i + r];
      }
    }
  }
}

// b's rows [k, k + depth) and columns [n, n + columns) as panels (columns / 16, depth, 16), the last one filled up with
// 0
MAE_VECTOR void pack_b(const MatMul& s, std::int64_t k, std::int64_t depth, std::int64_t n, std::int64_t columns,
                       float* to) {
  for (std::int64_t j = 0; j < columns; j += tile_columns, to += depth * tile_columns) {
    const std::int64_t width = std::min(tile_columns, columns - j);
    if (width < tile_columns) std::fill_n(to, depth * tile_columns, 0.0f);
    if (s.b_layout == Layout::plain) {
      for (std::int64_t i = 0; i < depth; ++i) {
        const float* from = s.b.row<float>(k + i) + n + j;
        for (std::int64_t c = 0; c < width; ++c) to[i * tile_columns + c] = from[c];
      }
    } else {
      transpose(s.b.row<float>(n + j) + k, s.b.row_stride, width, depth, to, tile_columns);
    }
  }
}

// out's block at `out` += packed a times packed b
MAE_VECTOR void multiply_packed(const float* a, const float* b, float* out, std::int64_t out_row, std::int64_t rows,
                                std::int64_t columns, std::int64_t depth) {
  for (std::int64_t j = 0; j < columns; j += tile_columns, b += depth * tile_columns) {
    const std::int64_t width = std::min(tile_columns, columns - j);
    for (std::int64_t i = 0; i < rows; i += tile_rows) {
      float edge[tile_rows * tile_columns];
      const bool whole = width == tile_columns;
      product({.a = a + i * depth,
               .a_row = 1,
               .a_k = tile_rows,
               .b = b,
               .b_row = tile_columns,
               .c = whole ? out + i * out_row + j : edge,
               .c_row = whole ? out_row : tile_columns,
               .m = std::min(tile_rows, rows - i),
               .n = tile_columns,
               .k = depth,
               .add = whole});
      if (whole) continue;
      for (std::int64_t r = 0; r < std::min(tile_rows, rows - i); ++r) {
        for (std::int64_t c = 0; c < width; ++c) out[(i + r) * out_row + j + c] += edge[r * tile_columns + c];
      }
    }
  }
}

void multiply_block(const MatMul& s, std::int64_t m, std::int64_t n, std::int64_t columns, float* packed) {
  const std::int64_t K = s.k(), rows = std::min(block_m, s.m() - m);
  float *packed_a = packed, *packed_b = packed + block_m * block_k;
  start_out<float>(s, m, m + rows, n, n + columns);
  for (std::int64_t k = 0; k < K; k += block_k) {
    const std::int64_t depth = std::min(block_k, K - k);
    pack_a(s, m, rows, k, depth, packed_a);
    pack_b(s, k, depth, n, columns, packed_b);
    multiply_packed(packed_a, packed_b, s.out.row<float>(m) + n, s.out.row_stride, rows, columns, depth);
  }
}

std::int64_t workers_of(const Device& device, const MatMul& s) {
  return worth_threads(s) ? std::max(1, device.multiprocessors) : 1;
}

std::size_t tiled_workspace(const Device& device, const MatMul& s) {
  return static_cast<std::size_t>(workers_of(device, s) * packed_floats) * sizeof(float);
}

// How out is cut does not touch the order of any sum, so it may depend on the number of workers.
void tiled(Stream& stream, const MatMul& s, void* scratch) {
  const std::int64_t M = s.m(), N = s.n(), workers = workers_of(stream.device(), s);
  const std::int64_t down = (M + block_m - 1) / block_m;
  std::int64_t block_n = most_block_n;
  while (block_n > 4 * tile_columns && down * ((N + block_n - 1) / block_n) < 4 * workers && workers > 1) block_n /= 2;
  const std::int64_t across = (N + block_n - 1) / block_n, blocks = down * across;
  parallel_for(workers, [&](std::int64_t w) {
    for (std::int64_t i = blocks * w / workers; i < blocks * (w + 1) / workers; ++i) {
      const std::int64_t n = i / down * block_n;
      multiply_block(s, i % down * block_m, n, std::min(block_n, N - n),
                     static_cast<float*>(scratch) + w * packed_floats);
    }
  });
}

const char* openblas_refuses(const Device&, const MatMul& s) {
  return s.a.dtype == DType::bf16 ? "this row has f32 and f64 only" : nullptr;
}
const char* not_f32(const Device&, const MatMul& s) {
  return s.a.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<MatMul> rows[] = {
    {.name = "openblas", .refuses = openblas_refuses, .run = matmul_openblas},
    {.name = "tiled", .refuses = not_f32, .workspace = tiled_workspace, .run = tiled},
    {.name = "reference", .refuses = nullptr, .run = reference},
};

}  // namespace

const Rows<MatMul> matmul{Rows<MatMul>(rows).subspan(with_openblas ? 0 : 1)};

}  // namespace kernels::cpu
