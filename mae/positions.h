// Fixed 2-D sine-cosine positions of MAE (recipe: D/2 values an axis; the first half encodes the column, the second the
// row; in each half a block of sines, then a block of cosines, omega_k = 10000^(-k / (D/4))). Row 0 is the class
// token's: zeros.
#pragma once

#include <cstdint>
#include <vector>

namespace mae {

/// (1 + rows * columns, dim) values in f64, row-major. dim must be a multiple of 4.
std::vector<double> sincos_positions(std::int64_t dim, std::int64_t rows, std::int64_t columns);

}  // namespace mae
