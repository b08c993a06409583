#include "mae/host_product.h"

#include <vector>

#include "kernels/core/stream.h"

namespace mae {

void host_product(const kernels::MatMul& args) {
  thread_local kernels::Stream stream(kernels::devices().front());
  thread_local std::vector<std::byte> scratch;
  kernels::Stream dry(kernels::devices().front(), kernels::StreamMode::dry);
  launch(dry, args);
  if (dry.scratch_wanted() > scratch.size()) {
    scratch.resize(dry.scratch_wanted());
    stream.lend_scratch(scratch.data(), scratch.size());
  }
  launch(stream, args);
}

}  // namespace mae
