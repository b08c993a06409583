// Vector code for the fast rows: loops that the compiler vectorises, compiled once per instruction set.
//
// A function marked MAE_VECTOR is compiled three times and the best version for the machine is taken at load time. It
// must be a plain function: OpenMP moves the body of a parallel loop into a function of its own, which is not compiled
// thrice, so parallel_for stands outside and calls it. Sanitized builds take one plain version (their runtime starts
// too late).
//
// The clones are named by feature level (v3: AVX2 and FMA, v4: AVX-512), which the loader compares with what the
// machine can do; a model name such as arch=haswell would be taken on Intel's machines only. g++ has such clones
// since 12.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/core/gauss.h"

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__)
#define MAE_VECTOR __attribute__((noinline, target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MAE_VECTOR
#endif

// A function for machines with vectors of sixteen alone: who calls it has asked.
#if defined(__x86_64__) && defined(__GNUC__)
#define MAE_VECTOR_OF_SIXTEEN __attribute__((noinline, target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#else
#define MAE_VECTOR_OF_SIXTEEN
#endif

namespace kernels::cpu {

/// Whether the machine multiplies sixteen f32 at a time (AVX-512). With MAE_VECTORS=8 in the environment it is said not
/// to, so that tests can see the rows of other machines.
inline bool vectors_of_sixteen() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const char* asked = std::getenv("MAE_VECTORS");
  static const bool have = !(asked && std::strcmp(asked, "8") == 0) && __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512vl");
  return have;
#else
  return false;
#endif
}

/// e^x in f32, relative error below 2e-7 for results that are normal numbers: 2^n times a polynomial on
/// [-ln2/2, ln2/2]. Inputs are clamped to [-87, 88], so the result is never denormal or infinite; NaN stays NaN.
inline float exp_approx(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  // adding and subtracting 1.5 * 2^23 rounds to an integer
  const float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts keeps r exact
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const std::int32_t bits = (static_cast<std::int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return p * scale;
}

/// phi and Phi at x; of Phi the lower tail, too, within 2e-6 of its value for x from -5 on.
inline Gauss gauss_approx(float x) {
  const float u = x < 0.0f ? -x : x;
  const float e = exp_approx(-0.5f * u * u), t = 1.0f / (1.0f + gauss_slope * u), tail = e * gauss_tail(t) * t;
  return {.density = 0.398942280f * e, .cumulative = x < 0.0f ? tail : 1.0f - tail};
}

}  // namespace kernels::cpu
