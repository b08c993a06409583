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
#include <cstring>

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__)
#define MAE_VECTOR __attribute__((noinline, target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MAE_VECTOR
#endif

namespace kernels::cpu {

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

struct Gauss {
  float density;     // phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
  float cumulative;  // Phi(x) = (1 + erf(x / sqrt 2)) / 2
};

/// Phi(-u) = exp(-u^2 / 2) p(t), u >= 0, with p of degree 8 in t = 1 / (1 + 0.31 u), fitted for the least relative
/// error on [0, 14] (1.7e-7 in exact arithmetic); so the lower tail, too, has its leading digits, and goes to 0.
inline Gauss gauss_approx(float x) {
  const float u = x < 0.0f ? -x : x;
  const float e = exp_approx(-0.5f * u * u), t = 1.0f / (1.0f + 0.31f * u);
  float p = 0.0358419448f;
  p = p * t - 0.141605459f;
  p = p * t + 0.155069279f;
  p = p * t - 0.0149046258f;
  p = p * t + 0.11011075f;
  p = p * t + 0.107770916f;
  p = p * t + 0.124060367f;
  p = p * t + 0.123656909f;
  const float tail = e * p * t;
  return {.density = 0.398942280f * e, .cumulative = x < 0.0f ? tail : 1.0f - tail};
}

}  // namespace kernels::cpu
