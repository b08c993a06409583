#include "kernels/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/adamw_factors.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/segments.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

template <class T>
struct Factors : AdamWFactors<T> {
  T clip;
};

template <class T>
Factors<T> factors_of(const AdamW& a, std::int64_t segment) {
  // a step beyond the schedule stays at its last row
  const std::int64_t s = std::min<std::int64_t>(a.step.as<std::uint32_t>()[0], a.schedule.rows() - 1);
  return {adamw_factors<T>(a.schedule.row<double>(s), a.lr_scale.as<double>()[segment],
                           a.weight_decay.as<double>()[segment], a),
          a.clip.as<T>()[0]};
}

bool frozen(const AdamW& a, std::int64_t segment) { return a.lr_scale.as<double>()[segment] == 0; }

// ---- reference ----------------------------------------------------------------------------------------------------

template <class T>
void update_segment(const AdamW& a, std::int64_t segment) {
  const Factors<T> f = factors_of<T>(a, segment);
  const T* gradient = a.gradient.as<T>();
  T *master = a.master.as<T>(), *moment1 = a.moment1.as<T>(), *moment2 = a.moment2.as<T>();
  const std::int64_t begin = a.bounds.as<std::uint32_t>()[segment], end = a.bounds.as<std::uint32_t>()[segment + 1];
  parallel_for(end - begin, [&](std::int64_t k) {
    const std::int64_t i = begin + k;
    const T g = f.clip * gradient[i];
    T p = master[i];
    p -= f.decay * p;
    const T m = moment1[i] = f.beta1 * moment1[i] + f.fresh1 * g;
    const T v = moment2[i] = f.beta2 * moment2[i] + f.fresh2 * g * g;
    p -= f.rate * m / (std::sqrt(v) * f.root + f.eps);
    master[i] = p;
    if (a.compute) {
      if (a.compute.dtype == DType::bf16) a.compute.as<bf16>()[i] = bf16(p);
      else a.compute.as<double>()[i] = double(p);
    }
  });
}

void adamw_reference(Stream&, const AdamW& a, void*) {
  if (a.finite.as<std::int32_t>()[0] == 0) return;
  visit_floating(a.gradient.dtype, [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, bf16>) {  // which validate has refused
      for (std::int64_t s = 0; s < a.lr_scale.cols(); ++s) {
        if (!frozen(a, s)) update_segment<T>(a, s);
      }
    }
  });
}

// ---- fast: f32, in blocks of the flat buffers that stay in the nearest caches ------------------------------------

MAE_VECTOR void update_run(const Factors<float>& factors, const float* gradient, float* master, float* moment1,
                           float* moment2, std::int64_t count) {
  const Factors<float> f = factors;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = f.clip * gradient[i];
    const float p = master[i] - f.decay * master[i];
    const float m = f.beta1 * moment1[i] + f.fresh1 * g;
    const float v = f.beta2 * moment2[i] + f.fresh2 * g * g;
    moment1[i] = m;
    moment2[i] = v;
    master[i] = p - f.rate * m / (std::sqrt(v) * f.root + f.eps);
  }
}

void adamw_fast(Stream&, const AdamW& a, void*) {
  if (a.finite.as<std::int32_t>()[0] == 0) return;
  for_each_run(a, [&](std::int64_t s, std::int64_t begin, std::int64_t count) {
    float* master = a.master.as<float>() + begin;
    update_run(factors_of<float>(a, s), a.gradient.as<float>() + begin, master, a.moment1.as<float>() + begin,
               a.moment2.as<float>() + begin, count);
    if (a.compute) convert_run(master, a.compute.as<bf16>() + begin, count);
  });
}

// ---- the state of training: a handful of scalars, where there is nothing for a second row to gain ----------------

template <class T>
void guard(const StepGuard& a) {
  const T squared_norm = a.squared_norm.as<T>()[0];
  std::int32_t& finite = a.finite.as<std::int32_t>()[0];
  finite = finite && std::isfinite(a.loss.as<T>()[0]) && std::isfinite(squared_norm);
  a.clip.as<T>()[0] = finite && a.max_norm > 0 ? std::min(T(1), T(a.max_norm) / std::sqrt(squared_norm)) : T(1);
}

void step_guard_reference(Stream&, const StepGuard& a, void*) {
  a.loss.dtype == DType::f64 ? guard<double>(a) : guard<float>(a);
}

template <class T>
void advance(const StepAdvance& a) {
  std::uint32_t& step = a.step.as<std::uint32_t>()[0];
  a.losses.as<T>()[step % a.losses.cols()] = a.loss.as<T>()[0];
  step += 1;
}

void step_advance_reference(Stream&, const StepAdvance& a, void*) {
  if (a.finite.as<std::int32_t>()[0] == 0) return;
  a.loss.dtype == DType::f64 ? advance<double>(a) : advance<float>(a);
}

const char* not_f32(const Device&, const AdamW& a) {
  return a.gradient.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<AdamW> adamw_rows[] = {
    {.name = "fast", .refuses = not_f32, .run = adamw_fast},
    {.name = "reference", .refuses = nullptr, .run = adamw_reference},
};
constexpr Variant<StepGuard> step_guard_rows[] = {
    {.name = "reference", .refuses = nullptr, .run = step_guard_reference}};
constexpr Variant<StepAdvance> step_advance_rows[] = {
    {.name = "reference", .refuses = nullptr, .run = step_advance_reference}};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<AdamW> AdamW::cpu{cpu::adamw_rows};
const Rows<StepGuard> StepGuard::cpu{cpu::step_guard_rows};
const Rows<StepAdvance> StepAdvance::cpu{cpu::step_advance_rows};
}  // namespace kernels
