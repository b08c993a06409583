// The row `tiled`: f32, any layout, vectorised in tile.h.
//
//     workers   a grid over out, each with its own part of it
//     k         in blocks, so that a tile's rows of a stay in the first-level cache, and out is touched a few times
//     columns   as many as let the packed share of b, panels of a tile's columns, stay in the second-level cache
//     rows      of a, packed in panels of a tile's rows, one panel at a time past all of these columns: of a, b and out
//               everything is then read in order
//
// A tile of out has six rows of sixteen columns, or, where vectors hold sixteen, fourteen of thirty-two.
// A sum is made of parts of `chain` products (tile.h). Bias, residual and what out holds come before the first part; to
// a tile at the right edge of out, before all of them. How out is cut does not touch the order of any sum: it may
// depend on the number of workers, the bits do not.
#include <algorithm>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t panels_at_once = 16;  // of a that are filled together, so that its rows are read in order

/// What the sums of a block of out are added to.
struct Start {
  const float* matrix;  // null: 0
  std::int64_t row;
  const float* bias;  // null: none
};

/// A tile's rows of out, or fewer, past all columns of the packed b. `a`: a panel of (depth, a tile's rows).
template <class Tile>
[[gnu::always_inline]] inline void multiply_tiles(const float* a, const float* b, const Start& start, float* out,
                                                  std::int64_t out_row, std::int64_t rows, std::int64_t columns,
                                                  std::int64_t depth) {
  Product p{.a = a, .a_row = 1, .a_k = Tile::rows, .b = b, .b_row = Tile::columns, .c = out, .c_row = out_row};
  p.m = rows, p.k = depth, p.start_row = start.row;
  for (std::int64_t j = 0; j < columns; j += Tile::columns, p.b += depth * Tile::columns) {
    const std::int64_t width = std::min(Tile::columns, columns - j);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t line = 0; line < Tile::columns; line += 16)
        __builtin_prefetch(out + r * out_row + j + Tile::columns + line);
    }
    const float *matrix = start.matrix ? start.matrix + j : nullptr, *bias = start.bias ? start.bias + j : nullptr;
    if (width == Tile::columns) {
      p.c = out + j, p.start = matrix, p.bias = bias;
      product_rows<Tile, 2>(p, 0, 0);
      continue;
    }
    float edge[Tile::rows * Tile::columns];
    p.c = edge, p.c_row = Tile::columns, p.start = p.bias = nullptr;
    product_rows<Tile, 2>(p, 0, 0);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t x = 0; x < width; ++x)
        out[r * out_row + j + x] =
            (matrix ? matrix[r * start.row + x] : 0.0f) + (bias ? bias[x] : 0.0f) + edge[r * Tile::columns + x];
    }
  }
}

MAE_VECTOR void multiply_eights(const float* a, const float* b, const Start& start, float* out, std::int64_t out_row,
                                std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  multiply_tiles<Tile8>(a, b, start, out, out_row, rows, columns, depth);
}
MAE_VECTOR_OF_SIXTEEN void multiply_sixteens(const float* a, const float* b, const Start& start, float* out,
                                             std::int64_t out_row, std::int64_t rows, std::int64_t columns,
                                             std::int64_t depth) {
  multiply_tiles<Tile16>(a, b, start, out, out_row, rows, columns, depth);
}

/// How a product is cut on this machine.
struct Blocking {
  std::int64_t rows, columns;     // of a tile
  std::int64_t block_m, block_k;  // at most so many rows of a that are packed, and values of k, at a time
  std::int64_t packed_b;          // floats
  decltype(&multiply_eights) multiply;
};

template <class Tile>
Blocking blocking_of(std::int64_t block_k, std::int64_t packed_b, decltype(&multiply_eights) multiply) {
  return {Tile::rows, Tile::columns, 2016 / Tile::rows * Tile::rows, block_k, packed_b, multiply};
}

const Blocking& blocking() {
  static const Blocking chosen = vectors_of_sixteen() ? blocking_of<Tile16>(384, 1 << 17, multiply_sixteens)
                                                      : blocking_of<Tile8>(768, 1 << 16, multiply_eights);
  return chosen;
}

struct Grid {
  std::int64_t down, across;  // workers along M and along N
};

/// The grid that packs least: every worker of a column packs the same share of b, of a row the same share of a.
Grid grid_of(const MatMul& s, std::int64_t workers) {
  const Blocking& tile = blocking();
  Grid best{.down = workers, .across = 1};
  double least = 0;
  for (std::int64_t across = 1; across <= workers; ++across) {
    const std::int64_t down = workers / across;
    if (down * across != workers) continue;
    const std::int64_t rows = round_up((s.m() + down - 1) / down, tile.rows),
                       columns = round_up((s.n() + across - 1) / across, tile.columns);
    const double products =
        static_cast<double>(rows * columns) / static_cast<double>(tile.columns);  // in vector operations, a value of k
    const double packed = static_cast<double>(columns + rows);
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

/// pack_a where a is transposed.
[[gnu::always_inline]] inline void pack_columns(const MatMul& s, std::int64_t m, std::int64_t rows, std::int64_t k,
                                                std::int64_t depth, std::int64_t width, float* to) {
  // The last row of a panel, and panels whose vectors would end behind a row of a, go element by element.
  const std::int64_t whole = std::max<std::int64_t>(0, rows - (round_up(width, lanes) - width)) / width * width;
  for (std::int64_t group = 0; group < whole; group += panels_at_once * width) {
    const std::int64_t end = std::min(whole, group + panels_at_once * width);
    for (std::int64_t j = 0; j + 1 < depth; ++j) {
      const float* from = s.a.row<float>(k + j) + m;
      for (std::int64_t i = group; i < end; i += width) {
        for (std::int64_t x = 0; x < width; x += lanes) store(to + i * depth + j * width + x, load(from + i + x));
      }
    }
    const float* last = s.a.row<float>(k + depth - 1) + m;
    for (std::int64_t i = group; i < end; i += width) std::copy_n(last + i, width, to + (i + width) * depth - width);
  }
  for (std::int64_t i = whole; i < rows; i += width) {
    const std::int64_t count = std::min(width, rows - i);
    for (std::int64_t j = 0; j < depth; ++j) {
      const float* from = s.a.row<float>(k + j) + m + i;
      for (std::int64_t x = 0; x < count; ++x) to[i * depth + j * width + x] = from[x];
    }
  }
}

/// pack_a where it is not.
[[gnu::always_inline]] inline void pack_rows(const MatMul& s, std::int64_t m, std::int64_t rows, std::int64_t k,
                                             std::int64_t depth, std::int64_t width, float* to) {
  const std::int64_t whole = depth / lanes * lanes;
  for (std::int64_t i = 0; i < rows; i += width, to += width * depth) {
    const std::int64_t count = std::min(width, rows - i), last = (count - 1) / lanes * lanes;
    const float* from = s.a.row<float>(m + i) + k;
    for (std::int64_t j = 0; j < whole; j += lanes) {
      for (std::int64_t x = last; x >= 0; x -= lanes)
        transpose_8x8(from + x * s.a.row_stride + j, s.a.row_stride, count - x, 1.0f, to + j * width + x, width);
    }
    for (std::int64_t j = whole; j < depth; ++j) {
      for (std::int64_t x = 0; x < count; ++x) to[j * width + x] = from[x * s.a.row_stride + j];
    }
  }
}

/// Rows [m, m + rows) and [k, k + depth) of a as panels (rows / width, depth, width). In whole vectors: the elements
/// too many are those of the panel's next row, or of the next panel, which come later. Behind the last one there must
/// be room for them.
MAE_VECTOR void pack_a(const MatMul& s, std::int64_t m, std::int64_t rows, std::int64_t k, std::int64_t depth,
                       std::int64_t width, float* to) {
  s.a_layout == Layout::transposed ? pack_columns(s, m, rows, k, depth, width, to)
                                   : pack_rows(s, m, rows, k, depth, width, to);
}

// rows [k, k + depth), columns [n, n + columns) of b as panels (columns / width, depth, width), the last one filled
// with 0
MAE_VECTOR void pack_b(const MatMul& s, std::int64_t k, std::int64_t depth, std::int64_t n, std::int64_t columns,
                       std::int64_t width, float* to) {
  const std::int64_t whole = columns / width * width;
  float* rest = to + whole * depth;
  if (whole < columns) std::fill_n(rest, depth * width, 0.0f);
  if (s.b_layout == Layout::transposed) {
    for (std::int64_t j = 0; j < columns; j += width)
      transpose(s.b.row<float>(n + j) + k, s.b.row_stride, std::min(width, columns - j), depth, 1.0f, to + j * depth,
                width);
    return;
  }
  for (std::int64_t i = 0; i < depth; ++i) {
    const float* from = s.b.row<float>(k + i) + n;
    for (std::int64_t j = 0; j < whole; j += width) {
      float* panel = to + j * depth + i * width;
      for (std::int64_t x = 0; x < width; x += lanes) store(panel + x, load(from + j + x));
    }
    for (std::int64_t j = whole; j < columns; ++j) rest[i * width + j - whole] = from[j];
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

Start start_of(const MatMul& s, std::int64_t m, std::int64_t n, bool first) {
  if (!first || s.mode == Write::accumulate) return {s.out.row<float>(m) + n, s.out.row_stride, nullptr};
  return {.matrix = s.residual ? s.residual.row<float>(m) + n : nullptr,
          .row = s.residual.row_stride,
          .bias = s.bias ? s.bias.as<float>() + n : nullptr};
}

/// All columns of a part of out, for one block of its rows and of k.
void multiply_block(const MatMul& s, Range m, Range n_range, Range k, const float* a, float* packed_b) {
  const Blocking& tile = blocking();
  const std::int64_t depth = k.end - k.begin, most = tile.packed_b / depth / tile.columns * tile.columns;
  for (std::int64_t n = n_range.begin; n < n_range.end; n += most) {
    const std::int64_t columns = std::min(most, n_range.end - n), next = n + columns;
    pack_b(s, k.begin, depth, n, columns, tile.columns, packed_b);
    for (std::int64_t i = m.begin; i < m.end; i += tile.rows) {
      if (next < n_range.end)
        ask_for_b(s, k.begin, depth, next, std::min(most, n_range.end - next), (i - m.begin) / tile.rows,
                  (m.end - m.begin + tile.rows - 1) / tile.rows);
      tile.multiply(a + (i - m.begin) * depth, packed_b, start_of(s, i, n, k.begin == 0), s.out.row<float>(i) + n,
                    s.out.row_stride, std::min(tile.rows, m.end - i), columns, depth);
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
  const Blocking& tile = blocking();
  const std::int64_t rows = round_up(std::min(s.m(), tile.block_m), tile.rows);
  return {.a = round_up(rows * block_of(s.k(), tile.block_k) + lanes, 16), .b = tile.packed_b};
}

void multiply_part(const MatMul& s, Range m_range, Range n_range, float* packed_b, float* packed_a) {
  const Blocking& tile = blocking();
  const std::int64_t K = s.k(), most_depth = block_of(K, tile.block_k);
  for (std::int64_t m = m_range.begin; m < m_range.end; m += tile.block_m) {
    const Range rows{m, std::min(m + tile.block_m, m_range.end)};
    for (std::int64_t k = 0; k < K; k += most_depth) {
      const std::int64_t depth = std::min(most_depth, K - k);
      pack_a(s, m, rows.end - m, k, depth, tile.rows, packed_a);
      multiply_block(s, rows, n_range, {k, k + depth}, packed_a, packed_b);
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
    multiply_part(s, part(s.m(), blocking().rows, w / grid.across, grid.down),
                  part(s.n(), blocking().columns, w % grid.across, grid.across), packed, packed + floats.b);
  });
}

}  // namespace kernels::cpu
