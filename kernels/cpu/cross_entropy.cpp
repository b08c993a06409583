#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

/// The soft target of a sample: `off` everywhere, and more at its labels.
struct SoftTarget {
  std::int64_t p = -1, q = -1;  // q: -1 where it has no share
  double off = 0, of_p = 0, of_q = 0;
  double weight = 1;

  double at(std::int64_t k) const { return off + (k == p ? of_p : 0) + (k == q ? of_q : 0); }
};

SoftTarget target_of(const SoftmaxCrossEntropy& a, std::int64_t b) {
  const std::int32_t* labels = a.labels.row<std::int32_t>(b);
  const double lambda = a.lambda.as<double>()[b], on = 1 - a.smoothing;  // beside `off`
  SoftTarget t{.p = labels[0],
               .q = lambda != 1 ? labels[1] : -1,
               .off = a.smoothing / static_cast<double>(a.logits.cols()),
               .of_p = lambda * on,
               .of_q = (1 - lambda) * on};
  if (!a.class_weight || t.p < 0) return t;
  const double* weights = a.class_weight.as<double>();
  t.weight = lambda * weights[t.p] + (t.q < 0 ? 0 : (1 - lambda) * weights[t.q]);
  return t;
}

// ---- reference: the loss of a sample without the factor; writes its row of dlogits ----------------------------------

template <class T>
Statistics<T> softmax_sample(const SoftmaxCrossEntropy& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t K = a.logits.cols();
  const SoftTarget t = target_of(a, b);
  const T* z = a.logits.row<T>(b);
  T* dz = a.dlogits ? a.dlogits.row<T>(b) : nullptr;
  if (t.p < 0) {
    if (dz) std::fill_n(dz, K, T{});
    return 0;
  }
  Sum most = Sum(z[0]);
  for (std::int64_t k = 1; k < K; ++k) most = std::max(most, Sum(z[k]));
  Sum sum = 0, expected = 0;
  for (std::int64_t k = 0; k < K; ++k) {
    sum += std::exp(Sum(z[k]) - most);
    expected += Sum(t.at(k)) * (Sum(z[k]) - most);
  }
  for (std::int64_t k = 0; dz && k < K; ++k)
    dz[k] = T(Sum(a.factor * t.weight) * (std::exp(Sum(z[k]) - most) / sum - Sum(t.at(k))));
  return Sum(t.weight) * (std::log(sum) - expected);
}

template <class T>
Statistics<T> sigmoid_sample(const SigmoidCrossEntropy& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const T* z = a.logits.row<T>(b);
  T* dz = a.dlogits ? a.dlogits.row<T>(b) : nullptr;
  const std::int32_t* t = a.targets.row<std::int32_t>(b);
  Sum loss = 0;
  for (std::int64_t k = 0; k < a.logits.cols(); ++k) {
    if (dz) dz[k] = T{};
    if (t[k] < 0) continue;
    const Sum x = Sum(z[k]), target = Sum(t[k]), small = std::exp(-std::abs(x));  // at most 1
    const double weight = a.weight ? a.weight.as<double>()[k] : 1;
    loss += Sum(weight) * (std::max(x, Sum(0)) - target * x + std::log1p(small));
    const Sum sigmoid = (x < 0 ? small : Sum(1)) / (Sum(1) + small);
    if (dz) dz[k] = T(Sum(a.factor * weight) * (sigmoid - target));
  }
  return loss;
}

// ---- fast: for f32, vectorised along the classes --------------------------------------------------------------------

MAE_VECTOR float softmax_row_fast(const float* z, std::int64_t K, const SoftTarget& t, float factor, float* dz) {
  float most = z[0], sum = 0, all = 0;
#pragma omp simd reduction(max : most)
  for (std::int64_t k = 0; k < K; ++k) most = std::max(most, z[k]);
#pragma omp simd reduction(+ : sum, all)
  for (std::int64_t k = 0; k < K; ++k) {
    const float below = z[k] - most;
    sum += exp_approx(below);
    all += below;
  }
  const float off = static_cast<float>(t.off), of_p = static_cast<float>(t.of_p), of_q = static_cast<float>(t.of_q);
  if (dz) {
    const float scale = factor / sum;
#pragma omp simd
    for (std::int64_t k = 0; k < K; ++k) dz[k] = scale * exp_approx(z[k] - most) - factor * off;
    dz[t.p] -= factor * of_p;
    if (t.q >= 0) dz[t.q] -= factor * of_q;
  }
  return std::log(sum) - off * all - of_p * (z[t.p] - most) - (t.q < 0 ? 0.0f : of_q * (z[t.q] - most));
}

float softmax_sample_fast(const SoftmaxCrossEntropy& a, std::int64_t b) {
  const SoftTarget t = target_of(a, b);
  float* dz = a.dlogits ? a.dlogits.row<float>(b) : nullptr;
  if (t.p < 0) {
    if (dz) std::fill_n(dz, a.logits.cols(), 0.0f);
    return 0;
  }
  return static_cast<float>(t.weight) *
         softmax_row_fast(a.logits.row<float>(b), a.logits.cols(), t, static_cast<float>(a.factor * t.weight), dz);
}

/// log(1 + s) for 0 <= s <= 1: twice the series of atanh(s / (2 + s)), whose terms left out are below 2e-8 of it.
inline float log1p_approx(float s) {
  const float u = s / (2.0f + s), v = u * u;
  float p = 1.0f / 13;
  p = p * v + 1.0f / 11;
  p = p * v + 1.0f / 9;
  p = p * v + 1.0f / 7;
  p = p * v + 1.0f / 5;
  p = p * v + 1.0f / 3;
  return 2.0f * (u + u * v * p);
}

/// exp(-|x|); 0 where that is no normal number any more.
inline float exp_below(float x) {
  const float size = std::abs(x);
  return size < 87.0f ? exp_approx(-size) : 0.0f;
}

MAE_VECTOR float sigmoid_row_fast(const float* z, const std::int32_t* t, const double* weight, std::int64_t K,
                                  float factor, float* dz) {
  float loss = 0;
#pragma omp simd reduction(+ : loss)
  for (std::int64_t k = 0; k < K; ++k) {
    const float x = z[k], w = weight ? static_cast<float>(weight[k]) : 1.0f;
    const float part = std::max(x, 0.0f) - static_cast<float>(t[k]) * x + log1p_approx(exp_below(x));
    loss += t[k] < 0 ? 0.0f : w * part;
  }
  if (!dz) return loss;
#pragma omp simd
  for (std::int64_t k = 0; k < K; ++k) {
    const float x = z[k], small = exp_below(x), w = weight ? static_cast<float>(weight[k]) : 1.0f;
    const float sigmoid = (x < 0.0f ? small : 1.0f) / (1.0f + small);
    dz[k] = t[k] < 0 ? 0.0f : factor * w * (sigmoid - static_cast<float>(t[k]));
  }
  return loss;
}

float sigmoid_sample_fast(const SigmoidCrossEntropy& a, std::int64_t b) {
  return sigmoid_row_fast(a.logits.row<float>(b), a.targets.row<std::int32_t>(b),
                          a.weight ? a.weight.as<double>() : nullptr, a.logits.cols(), static_cast<float>(a.factor),
                          a.dlogits ? a.dlogits.row<float>(b) : nullptr);
}

// ---- the sum over samples, one for all rows -------------------------------------------------------------------------

// one partial sum a sample
template <class Args>
std::size_t workspace(const Device&, const Args& a) {
  return static_cast<std::size_t>(a.logits.shape[0]) * size_of(statistics_of(a.logits.dtype));
}

template <class Sum, class Args, class OfSample>
void add_up(const Args& a, void* scratch, OfSample of_sample) {
  const std::int64_t B = a.logits.shape[0];
  Sum* samples = static_cast<Sum*>(scratch);  // (B)
  parallel_for(B, [&](std::int64_t b) { samples[b] = of_sample(b); });
  Sum total = 0;
  for (std::int64_t b = 0; b < B; ++b) total += samples[b];
  Sum* loss = a.loss.template as<Sum>();
  loss[0] = (a.mode == Write::accumulate ? loss[0] : Sum(0)) + Sum(a.factor) * total;
}

void softmax_reference(Stream&, const SoftmaxCrossEntropy& a, void* scratch) {
  visit_floating(a.logits.dtype, [&]<class T>(T) {
    add_up<Statistics<T>>(a, scratch, [&](std::int64_t b) { return softmax_sample<T>(a, b); });
  });
}

void softmax_fast(Stream&, const SoftmaxCrossEntropy& a, void* scratch) {
  add_up<float>(a, scratch, [&](std::int64_t b) { return softmax_sample_fast(a, b); });
}

void sigmoid_reference(Stream&, const SigmoidCrossEntropy& a, void* scratch) {
  visit_floating(a.logits.dtype, [&]<class T>(T) {
    add_up<Statistics<T>>(a, scratch, [&](std::int64_t b) { return sigmoid_sample<T>(a, b); });
  });
}

void sigmoid_fast(Stream&, const SigmoidCrossEntropy& a, void* scratch) {
  add_up<float>(a, scratch, [&](std::int64_t b) { return sigmoid_sample_fast(a, b); });
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.logits.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<SoftmaxCrossEntropy> softmax_rows[] = {
    {.name = "fast",
     .refuses = not_f32<SoftmaxCrossEntropy>,
     .workspace = workspace<SoftmaxCrossEntropy>,
     .run = softmax_fast},
    widened<SoftmaxCrossEntropy>,
    {.name = "reference", .refuses = nullptr, .workspace = workspace<SoftmaxCrossEntropy>, .run = softmax_reference},
};
constexpr Variant<SigmoidCrossEntropy> sigmoid_rows[] = {
    {.name = "fast",
     .refuses = not_f32<SigmoidCrossEntropy>,
     .workspace = workspace<SigmoidCrossEntropy>,
     .run = sigmoid_fast},
    widened<SigmoidCrossEntropy>,
    {.name = "reference", .refuses = nullptr, .workspace = workspace<SigmoidCrossEntropy>, .run = sigmoid_reference},
};

}  // namespace
}  // namespace kernels::cpu

namespace kernels {
const Rows<SoftmaxCrossEntropy> SoftmaxCrossEntropy::cpu{cpu::softmax_rows};
const Rows<SigmoidCrossEntropy> SigmoidCrossEntropy::cpu{cpu::sigmoid_rows};
}  // namespace kernels
