// What simt says of races, against all pairs of accesses and a vector clock for every thread: random programs of reads,
// writes, barriers and __syncwarps of whole and partial warps.
#include <algorithm>
#include <array>

#include "tests/support/simt.h"

namespace kernels::simt {
namespace {

constexpr unsigned count = 64, elements = 3;

struct Step {
  enum Kind { read, write, barrier, syncwarp } kind;
  unsigned thread = 0;  // of an access; of a syncwarp: the first of its warp
  unsigned element = 0, mask = 0;
};
using Program = std::vector<Step>;

__global__ void program_kernel(const Program* program) {
  auto s = shared<float, elements, 0>();
  if (threadIdx.x == 0) {
    for (unsigned i = 0; i < elements; ++i) s[i] = 0;
  }
  __syncthreads();
  for (const Step& step : *program) {
    if (step.kind == Step::barrier) __syncthreads();
    if (step.kind == Step::syncwarp && step.thread == threadIdx.x / 32 * 32 && step.mask >> threadIdx.x % 32 & 1)
      __syncwarp(step.mask);
    if (step.thread != threadIdx.x) continue;
    if (step.kind == Step::write) s[step.element] = 1;
    if (step.kind == Step::read) [[maybe_unused]]
      const float value = s[step.element];
  }
}

bool has_race(const Program& program) {
  using Clock = std::array<unsigned, count>;  // of each thread: how much of it is behind this one
  std::array<Clock, count> clocks{};
  struct Access {
    Step step;
    unsigned time;
  };
  std::vector<Access> accesses;
  const auto join = [&](auto takes_part) {
    Clock all{};
    for (unsigned t = 0; t < count; ++t) {
      for (unsigned u = 0; takes_part(t) && u < count; ++u) all[u] = std::max(all[u], clocks[t][u]);
    }
    for (unsigned t = 0; t < count; ++t) {
      if (takes_part(t)) clocks[t] = all;
    }
  };
  for (const Step& step : program) {
    if (step.kind == Step::barrier) {
      join([](unsigned) { return true; });
    } else if (step.kind == Step::syncwarp) {
      join([&](unsigned t) { return t / 32 * 32 == step.thread && step.mask >> t % 32 & 1; });
    } else {
      for (const Access& before : accesses) {
        if (before.step.element == step.element && (before.step.kind == Step::write || step.kind == Step::write) &&
            clocks[step.thread][before.step.thread] < before.time)
          return true;
      }
      accesses.push_back({step, ++clocks[step.thread][step.thread]});
    }
  }
  return false;
}

TEST_CASE("simt: a launch is stopped where two accesses are not in order, and nowhere else") {
  std::uint32_t state = 1;
  const auto random = [&](std::uint32_t n) { return state = state * 1664525u + 1013904223u, (state >> 8) % n; };
  int races = 0, clean = 0, missed = 0;  // launches
  for (int trial = 0; trial < 3000; ++trial) {
    Program program;
    const bool parts = trial % 2;  // of warps
    const std::uint32_t threads = 2 + random(5), syncs = 1 + random(8);
    for (std::uint32_t i = 3 + random(20); i > 0; --i) {
      const unsigned thread = random(threads) + (random(6) == 0 ? 30 : 0);
      if (random(12) == 0) {
        program.push_back({.kind = Step::barrier, .thread = count});
      } else if (random(8) < syncs) {
        const unsigned mask = random(1 << threads) | 1u << random(threads);
        program.push_back(
            {.kind = Step::syncwarp, .thread = random(4) == 0 ? 32u : 0u, .mask = parts ? mask : full_warp});
      } else {
        program.push_back(
            {.kind = random(3) ? Step::read : Step::write, .thread = thread, .element = random(elements)});
      }
    }
    const bool race = has_race(program);
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      const test::Seed order(seed);
      const std::string text = test::stopped({1, count}, program_kernel, &program);
      INFO("trial " << trial << ", seed " << seed << ": " << text);
      ++(race ? races : clean);
      if (!race) CHECK(text == "");
      if (race && !parts) CHECK(text != "");
      missed += race && text.empty();
    }
  }
  CHECK(races > 3000);
  CHECK(clean > 3000);
  CHECK(missed <= races / 500);  // shared.h says when
}

}  // namespace
}  // namespace kernels::simt
