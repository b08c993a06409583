// How rows of optimizers walk flat buffers with a table of segments: in blocks that stay in the nearest caches.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/core/view.h"
#include "kernels/cpu/parallel.h"

namespace kernels::cpu {

inline constexpr std::int64_t elements_a_block = 4096;

/// run(segment, first element, count) for the runs of elements that lie in one block and in one segment; segments whose
/// factor in lr_scale is 0 are left out. a: whatever has gradient (N), bounds (S + 1) and lr_scale (S).
template <class Args, class F>
void for_each_run(const Args& a, F run) {
  const std::int64_t N = a.gradient.cols(), S = a.lr_scale.cols();
  const std::uint32_t* bounds = a.bounds.template as<std::uint32_t>();
  parallel_for((N + elements_a_block - 1) / elements_a_block, [&](std::int64_t b) {
    const std::int64_t block_begin = b * elements_a_block, block_end = std::min(N, block_begin + elements_a_block);
    std::int64_t s = std::upper_bound(bounds, bounds + S + 1, block_begin) - bounds - 1;  // the block's first segment
    for (; s < S && bounds[s] < block_end; ++s) {
      const std::int64_t begin = std::max<std::int64_t>(block_begin, bounds[s]);
      const std::int64_t count = std::min<std::int64_t>(block_end, bounds[s + 1]) - begin;
      if (count > 0 && a.lr_scale.template as<double>()[s] != 0) run(s, begin, count);
    }
  });
}

}  // namespace kernels::cpu
