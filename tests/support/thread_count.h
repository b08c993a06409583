// Runs a piece of a test with a number of OpenMP threads. Without OpenMP there is one thread.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

namespace test {

template <class F>
auto with_threads([[maybe_unused]] int threads, F&& run) {
#ifdef _OPENMP
  const int usual = omp_get_max_threads();
  omp_set_num_threads(threads);
#endif
  auto result = run();
#ifdef _OPENMP
  omp_set_num_threads(usual);
#endif
  return result;
}

}  // namespace test
