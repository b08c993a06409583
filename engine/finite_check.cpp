#include "engine/finite_check.h"

#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "kernels/core/dtype.h"

namespace engine {

void FiniteCheck::look(const std::string& name, const kernels::View& view) {
  if (!found_.empty() || view.shape.count() == 0) return;
  const std::int64_t elements = (view.rows() - 1) * view.row_stride + view.cols();
  std::vector<std::byte> host(static_cast<std::size_t>(elements) * kernels::size_of(view.dtype));
  stream_.copy(host.data(), view.data, host.size());
  stream_.synchronize();
  const kernels::View here = kernels::view_of(host.data(), view.dtype, view.shape, view.row_stride);
  kernels::visit_floating(view.dtype, [&]<class T>(T) {
    for (std::int64_t r = 0; r < here.rows(); ++r) {
      for (std::int64_t c = 0; c < here.cols(); ++c) {
        const auto value = static_cast<double>(kernels::Statistics<T>(here.row<T>(r)[c]));
        if (std::isfinite(value)) continue;
        found_ = fmt::format("{}: {} in row {}, column {} of {}", name, std::isnan(value) ? "NaN" : "infinity", r, c,
                             to_string(view));
        return;
      }
    }
  });
}

}  // namespace engine
