// The row `tiled`: f32, any layout, vectorised in tile.h.
//
//     workers   a grid over out, each with its own part of it
//     columns   of the part, as many as let the packed share of b stay in the second-level cache
//     k         in blocks whose panels of b (block_k, 16) stay in the first-level cache
//     rows      in blocks that stay in the second-level cache; a is read in place, or packed where it is transposed
//
// Bias, residual and what out holds are where a tile's sums start, so out is touched once a block of k. How out is cut
// does not touch the order of any sum: it may depend on the number of workers, the bits do not.
#include <algorithm>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t block_m = 16 * tile_rows, block_k = 256;
constexpr std::int64_t packed_b_floats = 256 * block_k, packed_a_floats = block_m * block_k;
constexpr std::int64_t packed_floats = packed_b_floats + packed_a_floats;  // of one worker

struct Grid {
  std::int64_t down, across;  // workers along M and along N
};

/// The grid that packs least: every worker of a column packs the same share of b, of a row the same share of a.
Grid grid_of(const MatMul& s, std::int64_t workers) {
  Grid best{.down = workers, .across = 1};
  double least = 0;
  for (std::int64_t across = 1; across <= workers; ++across) {
    const std::int64_t down = workers / across;
    if (down * across != workers) continue;
    const std::int64_t rows = round_up((s.m() + down - 1) / down, tile_rows),
                       columns = round_up((s.n() + across - 1) / across, tile_columns);
    const double products = static_cast<double>(rows * columns) / 16;  // in vector operations, a value of k
    const double packed = static_cast<double>(columns + (s.a_layout == Layout::transposed ? rows : rows / 4));
    if (across == 1 || products + packed < least) best = {down, across}, least = products + packed;
  }
  return best;
}

struct Range {
  std::int64_t begin, end;
};

/// Part i of n of [0, size), in whole steps.
Range part(std::int64_t size, std::int64_t step, std::int64_t i, std::int64_t n) {
  const std::int64_t steps = (size + step - 1) / step;
  return {steps * i / n * step, std::min(size, steps * (i + 1) / n * step)};
}

// rows [k, k + depth), columns [m, m + rows) of a transposed a as panels (rows / 6, depth, 6)
MAE_VECTOR void pack_a(const MatMul& s, std::int64_t m, std::int64_t rows, std::int64_t k, std::int64_t depth,
                       float* to) {
  for (std::int64_t i = 0; i < rows; i += tile_rows, to += depth * tile_rows) {
    const float* from = s.a.row<float>(k) + m + i;
    if (i + lanes <= rows) {  // whole vectors: the two elements too many are overwritten by what comes next
      for (std::int64_t j = 0; j < depth; ++j, from += s.a.row_stride) store(to + j * tile_rows, load(from));
      continue;
    }
    const std::int64_t count = std::min(tile_rows, rows - i);
    for (std::int64_t j = 0; j < depth; ++j, from += s.a.row_stride) std::copy_n(from, count, to + j * tile_rows);
  }
}

// rows [k, k + depth), columns [n, n + columns) of b as panels (columns / 16, depth, 16), the last one filled with 0
MAE_VECTOR void pack_b(const MatMul& s, std::int64_t k, std::int64_t depth, std::int64_t n, std::int64_t columns,
                       float* to) {
  for (std::int64_t j = 0; j < columns; j += tile_columns, to += depth * tile_columns) {
    const std::int64_t width = std::min(tile_columns, columns - j);
    if (width < tile_columns) std::fill_n(to, depth * tile_columns, 0.0f);
    if (s.b_layout == Layout::transposed) {
      transpose(s.b.row<float>(n + j) + k, s.b.row_stride, width, depth, 1.0f, to, tile_columns);
      continue;
    }
    const float* from = s.b.row<float>(k) + n + j;
    for (std::int64_t i = 0; i < depth; ++i, from += s.b.row_stride) {
      if (width == tile_columns) {
        for (std::int64_t x = 0; x < tile_columns; x += lanes) store(to + i * tile_columns + x, load(from + x));
      } else {
        std::copy_n(from, width, to + i * tile_columns);
      }
    }
  }
}

/// Rows [m, m + rows) of a over a block of k, as product() reads them.
struct RowsOfA {
  const float* at;
  std::int64_t row, k, panel;  // distances of rows, of steps along k, and of panels of 6 rows
};

/// What the sums of a block of out start from.
struct Start {
  const float* matrix;  // null: 0
  std::int64_t row;
  const float* bias;  // null: none
};

MAE_VECTOR void multiply(const RowsOfA& a, const float* b, const Start& start, float* out, std::int64_t out_row,
                         std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  for (std::int64_t j = 0; j < columns; j += tile_columns, b += depth * tile_columns) {
    const std::int64_t width = std::min(tile_columns, columns - j);
    const bool whole = width == tile_columns;
    for (std::int64_t i = 0; i < rows; i += tile_rows) {
      const std::int64_t count = std::min(tile_rows, rows - i);
      const float *matrix = start.matrix ? start.matrix + i * start.row + j : nullptr,
                  *bias = start.bias ? start.bias + j : nullptr;
      float edge[tile_rows * tile_columns];
      float* c = out + i * out_row + j;
      product({.a = a.at + i / tile_rows * a.panel,
               .a_row = a.row,
               .a_k = a.k,
               .b = b,
               .b_row = tile_columns,
               .c = whole ? c : edge,
               .c_row = whole ? out_row : tile_columns,
               .m = count,
               .n = tile_columns,
               .k = depth,
               .start = whole ? matrix : nullptr,
               .start_row = start.row,
               .bias = whole ? bias : nullptr});
      if (whole) continue;
      for (std::int64_t r = 0; r < count; ++r) {
        for (std::int64_t x = 0; x < width; ++x)
          c[r * out_row + x] =
              edge[r * tile_columns + x] + (matrix ? matrix[r * start.row + x] : 0.0f) + (bias ? bias[x] : 0.0f);
      }
    }
  }
}

Start start_of(const MatMul& s, std::int64_t m, std::int64_t n, bool first) {
  if (!first || s.mode == Write::accumulate) return {s.out.row<float>(m) + n, s.out.row_stride, nullptr};
  return {.matrix = s.residual ? s.residual.row<float>(m) + n : nullptr,
          .row = s.residual.row_stride,
          .bias = s.bias ? s.bias.as<float>() + n : nullptr};
}

void multiply_part(const MatMul& s, Range m_range, Range n_range, float* packed) {
  const std::int64_t K = s.k(), most_depth = std::min(block_k, K);
  const std::int64_t most_columns = packed_b_floats / most_depth / tile_columns * tile_columns;
  float *packed_b = packed, *packed_a = packed + packed_b_floats;
  const bool transposed = s.a_layout == Layout::transposed;
  for (std::int64_t n = n_range.begin; n < n_range.end; n += most_columns) {
    const std::int64_t columns = std::min(most_columns, n_range.end - n);
    for (std::int64_t k = 0; k < K; k += block_k) {
      const std::int64_t depth = std::min(block_k, K - k);
      pack_b(s, k, depth, n, columns, packed_b);
      for (std::int64_t m = m_range.begin; m < m_range.end; m += block_m) {
        const std::int64_t rows = std::min(block_m, m_range.end - m);
        RowsOfA a{.at = packed_a, .row = 1, .k = tile_rows, .panel = tile_rows * depth};
        if (transposed) pack_a(s, m, rows, k, depth, packed_a);
        else a = {s.a.row<float>(m) + k, s.a.row_stride, 1, tile_rows * s.a.row_stride};
        multiply(a, packed_b, start_of(s, m, n, k == 0), s.out.row<float>(m) + n, s.out.row_stride, rows, columns,
                 depth);
      }
    }
  }
}

std::int64_t workers_of(const Device& device, const MatMul& s) {
  return worth_threads(s) ? std::max(1, device.multiprocessors) : 1;
}

}  // namespace

std::size_t tiled_workspace(const Device& device, const MatMul& s) {
  return static_cast<std::size_t>(workers_of(device, s) * packed_floats) * sizeof(float);
}

void matmul_tiled(Stream& stream, const MatMul& s, void* scratch) {
  const std::int64_t workers = workers_of(stream.device(), s);
  const Grid grid = grid_of(s, workers);
  parallel_for(workers, [&](std::int64_t w) {
    multiply_part(s, part(s.m(), tile_rows, w / grid.across, grid.down),
                  part(s.n(), tile_columns, w % grid.across, grid.across),
                  static_cast<float*>(scratch) + w * packed_floats);
  });
}

}  // namespace kernels::cpu
