#include "mae/host_values.h"

#include "kernels/core/dtype.h"

namespace mae {

std::vector<double> host_values(kernels::Stream& stream, const kernels::View& view) {
  std::vector<double> out;
  kernels::visit_floating(view.dtype, [&]<class T>(T) {
    std::vector<T> host(static_cast<std::size_t>(view.shape.count()));
    stream.copy(host.data(), view.data, host.size() * sizeof(T));
    stream.synchronize();
    for (const T value : host) out.push_back(static_cast<double>(static_cast<kernels::Statistics<T>>(value)));
  });
  return out;
}

}  // namespace mae
