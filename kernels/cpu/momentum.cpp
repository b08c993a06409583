#include "kernels/momentum.h"

#include "kernels/cpu/convert.h"
#include "kernels/cpu/segments.h"
#include "kernels/cpu/simd.h"
#include "kernels/momentum_factors.h"

namespace kernels::cpu {
namespace {

bool frozen(const Momentum& a, std::int64_t segment) { return a.lr_scale.as<double>()[segment] == 0; }
double trust_of(const Momentum& a, std::int64_t segment) { return a.trust.as<double>()[segment]; }

template <class T>
MomentumFactors<T> factors_of(const Momentum& a, std::int64_t segment) {
  // a step beyond the schedule stays at its last row
  const std::int64_t s = std::min<std::int64_t>(a.step.as<std::uint32_t>()[0], a.schedule.rows() - 1);
  return MomentumFactors<T>::of(a.clip.as<T>()[0], a.schedule.row<double>(s)[0] * a.lr_scale.as<double>()[segment],
                                a.weight_decay.as<double>()[segment], a.momentum);
}

// ---- reference ----------------------------------------------------------------------------------------------------

template <class T>
void update_segment(const Momentum& a, std::int64_t segment) {
  MomentumFactors<T> f = factors_of<T>(a, segment);
  const T* gradient = a.gradient.as<T>();
  T *master = a.master.as<T>(), *moment = a.moment.as<T>();
  const std::int64_t begin = a.bounds.as<std::uint32_t>()[segment], end = a.bounds.as<std::uint32_t>()[segment + 1];
  if (trust_of(a, segment) > 0) {
    double p_squares = 0, g_squares = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double p = master[i], g = f.clip * gradient[i] + f.decay * master[i];
      p_squares += p * p;
      g_squares += g * g;
    }
    f.ratio = T(lars_ratio(trust_of(a, segment), p_squares, g_squares));
  }
  parallel_for(end - begin, [&](std::int64_t k) {
    const std::int64_t i = begin + k;
    const T g = f.clip * gradient[i] + f.decay * master[i];
    moment[i] = f.momentum * moment[i] + f.ratio * g;
    master[i] -= f.rate * moment[i];
    if (a.compute) {
      if (a.compute.dtype == DType::bf16) a.compute.as<bf16>()[i] = bf16(master[i]);
      else a.compute.as<double>()[i] = double(master[i]);
    }
  });
}

void momentum_reference(Stream&, const Momentum& a, void*) {
  if (a.finite.as<std::int32_t>()[0] == 0) return;
  visit_floating(a.gradient.dtype, [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, bf16>) {  // which validate has refused
      for (std::int64_t s = 0; s < a.lr_scale.cols(); ++s) {
        if (!frozen(a, s)) update_segment<T>(a, s);
      }
    }
  });
}

// ---- fast: f32, in blocks -----------------------------------------------------------------------------------------
// Norms are sums of blocks of a segment's own, which are added in order.

using Factors = MomentumFactors<float>;

struct Squares {
  double p, g;
};

MAE_VECTOR void add_squares(const Factors& factors, const float* gradient, const float* master, std::int64_t count,
                            Squares& squares) {
  const Factors f = factors;
  double p_squares = 0, g_squares = 0;
#pragma omp simd reduction(+ : p_squares, g_squares)
  for (std::int64_t i = 0; i < count; ++i) {
    const double p = master[i], g = f.clip * gradient[i] + f.decay * master[i];
    p_squares += p * p;
    g_squares += g * g;
  }
  squares = {p_squares, g_squares};
}

MAE_VECTOR void update_run(const Factors& factors, const float* gradient, float* master, float* moment,
                           std::int64_t count) {
  const Factors f = factors;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = f.clip * gradient[i] + f.decay * master[i];
    const float m = f.momentum * moment[i] + f.ratio * g;
    moment[i] = m;
    master[i] -= f.rate * m;
  }
}

std::int64_t blocks_of(std::int64_t elements) { return (elements + elements_a_block - 1) / elements_a_block; }

// (S) factors, then the squares of a segment's blocks, of which there are at most as many as the whole has
std::size_t factors_bytes(const Momentum& a) {
  return (static_cast<std::size_t>(a.lr_scale.cols()) * sizeof(Factors) + 63) / 64 * 64;
}
std::size_t momentum_workspace(const Device&, const Momentum& a) {
  return factors_bytes(a) + static_cast<std::size_t>(blocks_of(a.gradient.cols())) * sizeof(Squares);
}

double ratio_of(const Momentum& a, std::int64_t segment, const Factors& f, Squares* squares) {
  const std::int64_t begin = a.bounds.as<std::uint32_t>()[segment], end = a.bounds.as<std::uint32_t>()[segment + 1];
  const std::int64_t blocks = blocks_of(end - begin);
  parallel_for(blocks, [&](std::int64_t b) {
    const std::int64_t first = begin + b * elements_a_block;
    add_squares(f, a.gradient.as<float>() + first, a.master.as<float>() + first,
                std::min(elements_a_block, end - first), squares[b]);
  });
  double p_squares = 0, g_squares = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    p_squares += squares[b].p;
    g_squares += squares[b].g;
  }
  return lars_ratio(trust_of(a, segment), p_squares, g_squares);
}

void momentum_fast(Stream&, const Momentum& a, void* scratch) {
  if (a.finite.as<std::int32_t>()[0] == 0) return;
  auto* factors = static_cast<Factors*>(scratch);
  auto* squares = reinterpret_cast<Squares*>(static_cast<std::byte*>(scratch) + factors_bytes(a));
  for (std::int64_t s = 0; s < a.lr_scale.cols(); ++s) {
    factors[s] = factors_of<float>(a, s);
    if (!frozen(a, s) && trust_of(a, s) > 0) factors[s].ratio = static_cast<float>(ratio_of(a, s, factors[s], squares));
  }
  for_each_run(a, [&](std::int64_t s, std::int64_t begin, std::int64_t count) {
    float* master = a.master.as<float>() + begin;
    update_run(factors[s], a.gradient.as<float>() + begin, master, a.moment.as<float>() + begin, count);
    if (a.compute) convert_run(master, a.compute.as<bf16>() + begin, count);
  });
}

const char* not_f32(const Device&, const Momentum& a) {
  return a.gradient.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<Momentum> momentum_rows[] = {
    {.name = "fast", .refuses = not_f32, .workspace = momentum_workspace, .run = momentum_fast},
    {.name = "reference", .refuses = nullptr, .run = momentum_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<Momentum> Momentum::cpu{cpu::momentum_rows};
}  // namespace kernels
