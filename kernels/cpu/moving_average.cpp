#include "kernels/moving_average.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

bool nothing_to_do(const MovingAverage& a) { return a.finite.as<std::int32_t>()[0] == 0; }

// ---- reference ----------------------------------------------------------------------------------------------------

template <class T>
void average_all(const MovingAverage& a) {
  const T decay = T(a.decay), fresh = T(1 - a.decay);
  const T* x = a.x.as<T>();
  T* average = a.average.as<T>();
  for (std::int64_t i = 0; i < a.x.cols(); ++i) {
    average[i] = a.decay == 0 ? x[i] : decay * average[i] + fresh * x[i];
  }
}

void average_reference(Stream&, const MovingAverage& a, void*) {
  if (nothing_to_do(a)) return;
  a.x.dtype == DType::f64 ? average_all<double>(a) : average_all<float>(a);
}

// ---- fast: f32 ----------------------------------------------------------------------------------------------------

constexpr std::int64_t run_length = 1 << 14;

MAE_VECTOR void average_run(const float* x, float* average, float decay, float fresh, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) average[i] = decay * average[i] + fresh * x[i];
}

void average_fast(Stream&, const MovingAverage& a, void*) {
  if (nothing_to_do(a)) return;
  const std::int64_t N = a.x.cols();
  parallel_for((N + run_length - 1) / run_length, [&](std::int64_t r) {
    const std::int64_t begin = r * run_length, count = std::min(run_length, N - begin);
    const float* x = a.x.as<float>() + begin;
    float* average = a.average.as<float>() + begin;
    if (a.decay == 0) std::copy_n(x, count, average);
    else average_run(x, average, static_cast<float>(a.decay), static_cast<float>(1 - a.decay), count);
  });
}

const char* not_f32(const Device&, const MovingAverage& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<MovingAverage> moving_average_rows[] = {
    {.name = "fast", .refuses = not_f32, .run = average_fast},
    {.name = "reference", .refuses = nullptr, .run = average_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MovingAverage> MovingAverage::cpu{cpu::moving_average_rows};
}  // namespace kernels
