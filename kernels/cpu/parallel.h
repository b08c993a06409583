// The one thread pool of the CPU rows: OpenMP where the compiler has it, else a plain loop.
#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace kernels::cpu {

inline int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

inline void set_threads([[maybe_unused]] int count) {
#ifdef _OPENMP
  omp_set_num_threads(count);
#endif
}

/// body(i) for i in [0, count), shared out in contiguous runs. Bodies must not depend on each other, so the result does
/// not depend on the number of threads; a sum over i belongs in fixed blocks that are added in order afterwards.
/// Work of a few microseconds is not worth threads: they take about as long to wake, and far longer on a busy machine.
template <class F>
void parallel_for(std::int64_t count, F&& body, [[maybe_unused]] bool worth_threads = true) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) if (worth_threads && count > 1)
#endif
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace kernels::cpu
