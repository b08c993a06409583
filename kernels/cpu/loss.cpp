#include "kernels/cpu/loss.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {

// ---- fast: the same for f32, vectorised along the patch -----------------------------------------------------------

MAE_VECTOR Spread<float> spread_of_fast(const float* target, std::int64_t P, double eps) {
  float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
  for (std::int64_t p = 0; p < P; ++p) mean += target[p];
  mean /= static_cast<float>(P);
#pragma omp simd reduction(+ : variance)
  for (std::int64_t p = 0; p < P; ++p) variance += (target[p] - mean) * (target[p] - mean);
  return {mean, 1.0f / std::sqrt(variance / static_cast<float>(P - 1) + static_cast<float>(eps))};
}

MAE_VECTOR float squared_error_fast(const float* pred, const float* target, std::int64_t P, Spread<float> s) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t p = 0; p < P; ++p) {
    const float difference = pred[p] - (target[p] - s.mean) * s.rstd;
    sum += difference * difference;
  }
  return sum;
}

MAE_VECTOR void gradient_fast(const float* pred, const float* target, std::int64_t P, Spread<float> s, double scale,
                              float* dpred) {
  const float twice = static_cast<float>(2 * scale);
#pragma omp simd
  for (std::int64_t p = 0; p < P; ++p) dpred[p] = twice * (pred[p] - (target[p] - s.mean) * s.rstd);
}

// ---- the walk over patches, one for both rows ---------------------------------------------------------------------

namespace {

// the squared error of one sample; writes its statistics
template <class T, class Row>
Statistics<T> forward_sample(const MaskedMseForward& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t L = a.target.shape[1], P = a.target.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  Sum sum = 0;
  for (std::int64_t l = 0; l < L; ++l) {
    const T* target = a.target.row<T>(b * L + l);
    Spread<Sum> s;
    if (a.mean) {
      s = Row::spread(target, P, a.eps);
      a.mean.row<Sum>(b)[l] = s.mean;
      a.rstd.row<Sum>(b)[l] = s.rstd;
    }
    if (rank[l] >= a.keep) sum += Row::error(a.pred.row<T>(b * (1 + L) + 1 + l), target, P, s);
  }
  return sum;
}

template <class T, class Row>
void backward_sample(const MaskedMseBackward& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t L = a.target.shape[1], P = a.target.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  std::fill_n(a.dpred.row<T>(b * (1 + L)), P, T{});
  for (std::int64_t l = 0; l < L; ++l) {
    const std::int64_t t = b * (1 + L) + 1 + l;
    T* dpred = a.dpred.row<T>(t);
    Spread<Sum> s;
    if (a.mean) s = {a.mean.row<Sum>(b)[l], a.rstd.row<Sum>(b)[l]};
    if (rank[l] >= a.keep) Row::slope(a.pred.row<T>(t), a.target.row<T>(b * L + l), P, s, a.scale, dpred);
    else std::fill_n(dpred, P, T{});
  }
}

// one partial sum a sample
std::size_t forward_workspace(const Device&, const MaskedMseForward& a) {
  return static_cast<std::size_t>(a.target.shape[0]) * size_of(statistics_of(a.target.dtype));
}

template <class T, class Row>
void forward(const MaskedMseForward& a, void* scratch) {
  using Sum = Statistics<T>;
  const std::int64_t B = a.target.shape[0];
  Sum* samples = static_cast<Sum*>(scratch);  // (B)
  parallel_for(B, [&](std::int64_t b) { samples[b] = forward_sample<T, Row>(a, b); });
  Sum total = 0;
  for (std::int64_t b = 0; b < B; ++b) total += samples[b];
  Sum* loss = a.loss.as<Sum>();
  loss[0] = (a.mode == Write::accumulate ? loss[0] : Sum(0)) + Sum(a.scale) * total;
}

void forward_reference(Stream&, const MaskedMseForward& a, void* scratch) {
  visit_floating(a.target.dtype, [&]<class T>(T) { forward<T, Plain<T, T>>(a, scratch); });
}

void backward_reference(Stream&, const MaskedMseBackward& a, void*) {
  visit_floating(a.target.dtype, [&]<class T>(T) {
    parallel_for(a.target.shape[0], [&](std::int64_t b) { backward_sample<T, Plain<T, T>>(a, b); });
  });
}

void forward_fast(Stream&, const MaskedMseForward& a, void* scratch) { forward<float, Fast>(a, scratch); }

void backward_fast(Stream&, const MaskedMseBackward& a, void*) {
  parallel_for(a.target.shape[0], [&](std::int64_t b) { backward_sample<float, Fast>(a, b); });
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.target.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<MaskedMseForward> forward_rows[] = {
    {.name = "fast", .refuses = not_f32<MaskedMseForward>, .workspace = forward_workspace, .run = forward_fast},
    widened<MaskedMseForward>,
    {.name = "reference", .refuses = nullptr, .workspace = forward_workspace, .run = forward_reference},
};
constexpr Variant<MaskedMseBackward> backward_rows[] = {
    {.name = "fast", .refuses = not_f32<MaskedMseBackward>, .run = backward_fast},
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MaskedMseForward> MaskedMseForward::cpu{cpu::forward_rows};
const Rows<MaskedMseBackward> MaskedMseBackward::cpu{cpu::backward_rows};
}  // namespace kernels
