// The row `tiled`: f32, any layout, vectorised in tile.h.
//
//     workers   a grid over out, each with its own part of it
//     k         in blocks of at most 768, so that out is touched once or twice a product
//     columns   as many as let the packed share of b, panels of (depth, 16), stay in the second-level cache
//     rows      six at a time, past all of these columns: of b and out everything is then read in order. They are read
//               in place, or packed where a is transposed
//
// Bias, residual and what out holds are where a whole tile's sums start; to a tile at the right edge of out they are
// added. How out is cut does not touch the order of any sum:
// it may depend on the number of workers, the bits do not.
#include <algorithm>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t block_m = 160 * tile_rows, block_k = 768;
constexpr std::int64_t packed_b_floats = 1 << 16;
constexpr std::int64_t panels_at_once = 16;  // of a that are filled together, so that its rows are read in order

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
  // Whole vectors into panels of six: the two elements too many are those of the panel's next row, which comes later.
  // The last row of a panel, and panels whose vectors would end behind a row of a, go element by element.
  const std::int64_t whole = std::max<std::int64_t>(0, rows - lanes) / tile_rows * tile_rows;
  for (std::int64_t group = 0; group < whole; group += panels_at_once * tile_rows) {
    const std::int64_t end = std::min(whole, group + panels_at_once * tile_rows);
    for (std::int64_t j = 0; j + 1 < depth; ++j) {
      const float* from = s.a.row<float>(k + j) + m;
      for (std::int64_t i = group; i < end; i += tile_rows) store(to + i * depth + j * tile_rows, load(from + i));
    }
    const float* last = s.a.row<float>(k + depth - 1) + m;
    for (std::int64_t i = group; i < end; ++i) {
      const std::int64_t panel = i / tile_rows * tile_rows;
      to[panel * depth + (depth - 1) * tile_rows + i - panel] = last[i];
    }
  }
  for (std::int64_t i = whole; i < rows; i += tile_rows) {
    const std::int64_t count = std::min(tile_rows, rows - i);
    for (std::int64_t j = 0; j < depth; ++j) {
      const float* from = s.a.row<float>(k + j) + m + i;
      for (std::int64_t x = 0; x < count; ++x) to[i * depth + j * tile_rows + x] = from[x];
    }
  }
}

// rows [k, k + depth), columns [n, n + columns) of b as panels (columns / 16, depth, 16), the last one filled with 0
MAE_VECTOR void pack_b(const MatMul& s, std::int64_t k, std::int64_t depth, std::int64_t n, std::int64_t columns,
                       float* to) {
  const std::int64_t whole = columns / tile_columns * tile_columns;
  float* rest = to + whole * depth;
  if (whole < columns) std::fill_n(rest, depth * tile_columns, 0.0f);
  if (s.b_layout == Layout::transposed) {
    for (std::int64_t j = 0; j < columns; j += tile_columns)
      transpose(s.b.row<float>(n + j) + k, s.b.row_stride, std::min(tile_columns, columns - j), depth, 1.0f,
                to + j * depth, tile_columns);
    return;
  }
  for (std::int64_t i = 0; i < depth; ++i) {
    const float* from = s.b.row<float>(k + i) + n;
    for (std::int64_t j = 0; j < whole; j += tile_columns) {
      float* panel = to + j * depth + i * tile_columns;
      store(panel, load(from + j));
      store(panel + lanes, load(from + j + lanes));
    }
    for (std::int64_t j = whole; j < columns; ++j) rest[i * tile_columns + j - whole] = from[j];
  }
}

/// Asks for part i of n of what pack_b will read next: it comes while sums are made, and weights come from far.
MAE_VECTOR void ask_for_b(const MatMul& s, std::int64_t k, std::int64_t depth, std::int64_t n, std::int64_t columns,
                          std::int64_t i, std::int64_t parts) {
  constexpr std::int64_t line = 16;
  const bool transposed = s.b_layout == Layout::transposed;
  const std::int64_t rows = transposed ? columns : depth, across = transposed ? depth : columns;
  for (std::int64_t r = rows * i / parts; r < rows * (i + 1) / parts; ++r) {
    const float* from = transposed ? s.b.row<float>(n + r) + k : s.b.row<float>(k + r) + n;
    for (std::int64_t c = 0; c < across; c += line) __builtin_prefetch(from + c, 0, 2);
  }
}

/// Rows of a over a block of k.
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

/// At most six rows of out past all columns of the packed b.
MAE_VECTOR void multiply_rows(const RowsOfA& a, const float* b, const Start& start, float* out, std::int64_t out_row,
                              std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  Product p{.a = a.at, .a_row = a.row, .a_k = a.k, .b = b, .b_row = tile_columns, .c = out, .c_row = out_row};
  p.m = rows, p.k = depth, p.start_row = start.row;
  for (std::int64_t j = 0; j < columns; j += tile_columns, p.b += depth * tile_columns) {
    const std::int64_t width = std::min(tile_columns, columns - j);
    for (std::int64_t r = 0; r < rows; ++r) __builtin_prefetch(out + r * out_row + j + tile_columns);
    const float *matrix = start.matrix ? start.matrix + j : nullptr, *bias = start.bias ? start.bias + j : nullptr;
    if (width == tile_columns) {
      p.c = out + j, p.start = matrix, p.bias = bias;
      product_rows<2>(p, 0, 0);
      continue;
    }
    float edge[tile_rows * tile_columns];
    p.c = edge, p.c_row = tile_columns, p.start = p.bias = nullptr;
    product_rows<2>(p, 0, 0);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t x = 0; x < width; ++x)
        out[r * out_row + j + x] =
            edge[r * tile_columns + x] + (matrix ? matrix[r * start.row + x] : 0.0f) + (bias ? bias[x] : 0.0f);
    }
  }
}

Start start_of(const MatMul& s, std::int64_t m, std::int64_t n, bool first) {
  if (!first || s.mode == Write::accumulate) return {s.out.row<float>(m) + n, s.out.row_stride, nullptr};
  return {.matrix = s.residual ? s.residual.row<float>(m) + n : nullptr,
          .row = s.residual.row_stride,
          .bias = s.bias ? s.bias.as<float>() + n : nullptr};
}

/// All columns of a part of out, for one block of its rows and of k.
void multiply_block(const MatMul& s, Range m, Range n_range, Range k, const RowsOfA& a, float* packed_b) {
  const std::int64_t depth = k.end - k.begin, most = packed_b_floats / depth / tile_columns * tile_columns;
  for (std::int64_t n = n_range.begin; n < n_range.end; n += most) {
    const std::int64_t columns = std::min(most, n_range.end - n), next = n + columns;
    pack_b(s, k.begin, depth, n, columns, packed_b);
    for (std::int64_t i = m.begin; i < m.end; i += tile_rows) {
      if (next < n_range.end)
        ask_for_b(s, k.begin, depth, next, std::min(most, n_range.end - next), (i - m.begin) / tile_rows,
                  (m.end - m.begin + tile_rows - 1) / tile_rows);
      RowsOfA rows = a;
      rows.at += (i - m.begin) / tile_rows * a.panel;
      multiply_rows(rows, packed_b, start_of(s, i, n, k.begin == 0), s.out.row<float>(i) + n, s.out.row_stride,
                    std::min(tile_rows, m.end - i), columns, depth);
    }
  }
}

struct Packed {  // floats of one worker
  std::int64_t a, b;
};

/// Part of an axis at a time: of nearly equal size, at most `most`, in steps of 8.
std::int64_t block_of(std::int64_t size, std::int64_t most) {
  const std::int64_t blocks = (size + most - 1) / most;
  return round_up((size + blocks - 1) / blocks, lanes);
}

Packed packed_floats(const MatMul& s) {
  const std::int64_t rows = round_up(std::min(s.m(), block_m), tile_rows);
  return {.a = s.a_layout == Layout::transposed ? rows * block_of(s.k(), block_k) : 0, .b = packed_b_floats};
}

void multiply_part(const MatMul& s, Range m_range, Range n_range, float* packed_b, float* packed_a) {
  const std::int64_t K = s.k(), most_depth = block_of(K, block_k);
  const bool transposed = s.a_layout == Layout::transposed;
  const std::int64_t most_rows = transposed ? block_m : m_range.end - m_range.begin;
  for (std::int64_t m = m_range.begin; m < m_range.end; m += most_rows) {
    const Range rows{m, std::min(m + most_rows, m_range.end)};
    for (std::int64_t k = 0; k < K; k += most_depth) {
      const std::int64_t depth = std::min(most_depth, K - k);
      RowsOfA a{.at = packed_a, .row = 1, .k = tile_rows, .panel = tile_rows * depth};
      if (transposed) pack_a(s, m, rows.end - m, k, depth, packed_a);
      else a = {s.a.row<float>(m) + k, s.a.row_stride, 1, tile_rows * s.a.row_stride};
      multiply_block(s, rows, n_range, {k, k + depth}, a, packed_b);
    }
  }
}

std::int64_t workers_of(const Device& device, const MatMul& s) {
  return worth_threads(s) ? std::max(1, device.multiprocessors) : 1;
}

}  // namespace

std::size_t tiled_workspace(const Device& device, const MatMul& s) {
  const Packed floats = packed_floats(s);
  return static_cast<std::size_t>(workers_of(device, s) * (floats.a + floats.b)) * sizeof(float);
}

void matmul_tiled(Stream& stream, const MatMul& s, void* scratch) {
  const std::int64_t workers = workers_of(stream.device(), s);
  const Grid grid = grid_of(s, workers);
  const Packed floats = packed_floats(s);
  parallel_for(workers, [&](std::int64_t w) {
    float* packed = static_cast<float*>(scratch) + w * (floats.a + floats.b);
    multiply_part(s, part(s.m(), tile_rows, w / grid.across, grid.down),
                  part(s.n(), tile_columns, w % grid.across, grid.across), packed, packed + floats.b);
  });
}

}  // namespace kernels::cpu
