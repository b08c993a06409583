// The bits of a CPU row do not depend on the number of threads.
#pragma once

#include "tests/support/battery.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace test {

/// Runs the row on the case's inputs with 1, 2 and 3 threads and compares all bits. Without OpenMP there is one thread.
template <class Args>
void check_threads(const Args& args, const std::string& row) {
  Bench<Args> exact(devices().front(), with_dtype_f64(args)), bench(devices().front(), args);
  make_inputs(exact, bench);
  const auto before = snapshot(bench);
  const auto bits_with = [&]([[maybe_unused]] int threads) {
#ifdef _OPENMP
    const int usual = omp_get_max_threads();
    omp_set_num_threads(threads);
#endif
    for (std::size_t i = 0; i < bench.count(); ++i) bench.operand(i).set_bits(before[i]);
    bench.upload();
    bench.run(row);
    bench.download();
#ifdef _OPENMP
    omp_set_num_threads(usual);
#endif
    return snapshot(bench);
  };
  const auto one = bits_with(1);
  CHECK(one != before);
  CHECK((one == bits_with(2)));
  CHECK((one == bits_with(3)));
}

}  // namespace test
