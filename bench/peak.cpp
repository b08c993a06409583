// Twelve sums a thread, each a vector of the widest registers: a multiply-add takes four or five cycles and two can
// start in each, so ten or more that do not wait for each other keep both units at work.
#include "bench/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace bench {
namespace {

constexpr int sums = 12;
constexpr std::int64_t rounds = 1 << 21;  // 12.6 million cycles, where two multiply-adds start in each
constexpr std::size_t line = 8;           // doubles: threads do not write into each other's cache line

template <class T, int bytes>
[[gnu::always_inline]] inline double spin() {
  typedef T Vector __attribute__((vector_size(bytes)));  // `using` loses the attribute where T is not known yet
  Vector sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = Vector{} + static_cast<T>(i + 1);
  const Vector by = Vector{} + T(0.5), plus = Vector{} + T(0.25);  // towards 0.5: neither infinite nor denormal
  for (std::int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < sums; ++i) sum[i] = sum[i] * by + plus;
  }
  T total = 0;
  for (int i = 0; i < sums; ++i) {
    for (unsigned k = 0; k < bytes / sizeof(T); ++k) total += sum[i][k];
  }
  return static_cast<double>(total);
}

#ifdef __x86_64__
template <class T>
[[gnu::target("avx512f")]] double spin_avx512() {
  return spin<T, 64>();
}
template <class T>
[[gnu::target("avx2,fma")]] double spin_avx2() {
  return spin<T, 32>();
}
#endif
template <class T>
double spin_plain() {
  return spin<T, 16>();
}

struct Way {
  const char* name;
  double (*run)();
  int lanes;
};

template <class T>
Way widest() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return {"AVX-512", spin_avx512<T>, 64 / sizeof(T)};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {"AVX2", spin_avx2<T>, 32 / sizeof(T)};
#endif
  return {"128-bit vectors", spin_plain<T>, 16 / sizeof(T)};
}

double seconds_of(const Way& way, int threads) {
  std::vector<double> results(static_cast<std::size_t>(threads) * line);  // or the loop would be left out
  const auto begin = std::chrono::steady_clock::now();
  kernels::cpu::parallel_for(threads, [&](std::int64_t t) { results[static_cast<std::size_t>(t) * line] = way.run(); });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

double fma_peak(DType type, std::string& what) {
  const bool wide = type == DType::f64;
  const Way way = wide ? widest<double>() : widest<float>();
  what = std::string(way.name) + (wide ? ", f64" : ", f32");
  const int threads = kernels::cpu::threads();
  double best = seconds_of(way, threads);
  for (int i = 1; i < 10; ++i) best = std::min(best, seconds_of(way, threads));
  return 2.0 * sums * way.lanes * static_cast<double>(rounds) * threads / best;
}

}  // namespace bench
