// The bits of a CPU row do not depend on the number of threads.
#pragma once

#include "tests/support/battery.h"
#include "tests/support/thread_count.h"

namespace test {

/// Runs the row on the case's inputs with 1, 2 and 3 threads and compares all bits.
template <class Args>
void check_threads(const Args& args, const std::string& row) {
  Bench<Args> exact(devices().front(), with_dtype_f64(args)), bench(devices().front(), args);
  make_inputs(exact, bench);
  const auto before = snapshot(bench);
  const auto bits_with = [&](int threads) {
    for (std::size_t i = 0; i < bench.count(); ++i) bench.operand(i).set_bits(before[i]);
    bench.upload();
    return with_threads(threads, [&] {
      bench.run(row);
      bench.download();
      return snapshot(bench);
    });
  };
  const auto one = bits_with(1);
  CHECK(one != before);
  CHECK((one == bits_with(2)));
  CHECK((one == bits_with(3)));
}

}  // namespace test
