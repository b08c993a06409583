// For tests of simt: planted kernels, written in the words of CUDA, started in natural and in other orders.
#pragma once

#include <string>
#include <vector>

#include "kernels/cuda/common.cuh"
#include "tests/support/catch.h"

namespace test {

/// An order of threads and blocks, for as long as it lives.
struct Seed {
  explicit Seed(std::uint32_t seed) { kernels::simt::set_seed(seed); }
  ~Seed() { kernels::simt::set_seed(0); }
  Seed(const Seed&) = delete;
};

/// Launches kernel=row "planted=row". Throws what the launch throws.
template <class... Parameters, class... Arguments>
void planted(kernels::simt::Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  kernels::Stream stream(kernels::find_device("simt"));
  stream.running = {.kernel = "planted", .row = "row"};
  kernels::simt::run_kernel(stream, grid, kernel, arguments...);
}

/// The same in eight orders, of which the first is the natural one.
template <class... Parameters, class... Arguments>
void planted_in_orders(kernels::simt::Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  for (std::uint32_t seed = 0; seed < 8; ++seed) {
    const Seed order(seed);
    planted(grid, kernel, arguments...);
  }
}

/// Empty: `text` has all of `words`, one behind the other.
inline std::string lacks(const std::string& text, const std::vector<std::string>& words) {
  std::size_t from = 0;
  for (const std::string& word : words) {
    const std::size_t at = text.find(word, from);
    if (at == std::string::npos) return "no \"" + word + "\" in \"" + text + "\"";
    from = at + word.size();
  }
  return {};
}

/// What a launch that must be stopped says; empty: it was not.
template <class... Parameters, class... Arguments>
std::string stopped(kernels::simt::Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  try {
    planted(grid, kernel, arguments...);
  } catch (const kernels::Error& error) {
    return error.what();
  }
  return {};
}

/// The same in eight orders, which all must be stopped; what the natural one says.
template <class... Parameters, class... Arguments>
std::string stopped_in_orders(kernels::simt::Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  for (std::uint32_t seed = 1; seed < 8; ++seed) {
    const Seed order(seed);
    const std::string text = stopped(grid, kernel, arguments...);
    INFO("seed " << seed);
    CHECK(lacks(text, {"simt, planted=row: block ", ", thread "}) == "");
  }
  return stopped(grid, kernel, arguments...);
}

}  // namespace test
