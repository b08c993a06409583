#include "mae/positions.h"

#include <cmath>

namespace mae {

std::vector<double> sincos_positions(std::int64_t dim, std::int64_t rows, std::int64_t columns) {
  const std::int64_t quarter = dim / 4;
  std::vector<double> table(static_cast<std::size_t>((1 + rows * columns) * dim), 0.0);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      double* p = table.data() + (1 + row * columns + column) * dim;
      for (std::int64_t k = 0; k < quarter; ++k) {
        const double omega = std::pow(10000.0, -static_cast<double>(k) / static_cast<double>(quarter));
        p[k] = std::sin(static_cast<double>(column) * omega);
        p[quarter + k] = std::cos(static_cast<double>(column) * omega);
        p[2 * quarter + k] = std::sin(static_cast<double>(row) * omega);
        p[3 * quarter + k] = std::cos(static_cast<double>(row) * omega);
      }
    }
  }
  return table;
}

}  // namespace mae
