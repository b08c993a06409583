#include "kernels/pool.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

// ---- reference ------------------------------------------------------------------------------------------------------

template <class T>
void pool_sample(const TokenPoolForward& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t tokens = a.x.shape[1], C = a.x.cols();
  T* out = a.out.row<T>(b);
  if (a.pooling == Pooling::cls) {
    std::copy_n(a.x.row<T>(b * tokens), C, out);
    return;
  }
  for (std::int64_t c = 0; c < C; ++c) {
    Sum sum = 0;
    for (std::int64_t t = 1; t < tokens; ++t) sum += Sum(a.x.row<T>(b * tokens + t)[c]);
    out[c] = T(sum / Sum(tokens - 1));
  }
}

template <class T>
void gradient_sample(const TokenPoolBackward& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t tokens = a.dx.shape[1], C = a.dx.cols();
  const T* dout = a.dout.row<T>(b);
  for (std::int64_t t = 0; t < tokens; ++t) {
    T* dx = a.dx.row<T>(b * tokens + t);
    if (a.dx_mode == Write::overwrite) std::fill_n(dx, C, T{});
    if ((a.pooling == Pooling::cls) != (t == 0)) continue;
    const Sum share = a.pooling == Pooling::cls ? Sum(1) : Sum(1) / Sum(tokens - 1);
    for (std::int64_t c = 0; c < C; ++c) dx[c] = T(Sum(dx[c]) + share * Sum(dout[c]));
  }
}

void forward_reference(Stream&, const TokenPoolForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.shape[0], [&](std::int64_t b) { pool_sample<T>(a, b); }); });
}

void backward_reference(Stream&, const TokenPoolBackward& a, void*) {
  visit_floating(a.dx.dtype,
                 [&]<class T>(T) { parallel_for(a.dx.shape[0], [&](std::int64_t b) { gradient_sample<T>(a, b); }); });
}

// ---- fast: the mean for f32, vectorised along the channels ----------------------------------------------------------

constexpr std::int64_t strip = 64;  // channels that are summed together

MAE_VECTOR void mean_of_strip(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t channels,
                              float* out) {
  float sum[strip] = {};
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * stride;
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) sum[c] += row[c];
  }
#pragma omp simd
  for (std::int64_t c = 0; c < channels; ++c) out[c] = sum[c] / static_cast<float>(rows);
}

void forward_fast(Stream&, const TokenPoolForward& a, void*) {
  const std::int64_t tokens = a.x.shape[1], C = a.x.cols();
  parallel_for(a.x.shape[0], [&](std::int64_t b) {
    const float* patches = a.x.row<float>(b * tokens + 1);
    for (std::int64_t c = 0; c < C; c += strip)
      mean_of_strip(patches + c, a.x.row_stride, tokens - 1, std::min(strip, C - c), a.out.row<float>(b) + c);
  });
}

const char* forward_fast_refuses(const Device&, const TokenPoolForward& a) {
  return a.x.dtype == DType::f32 && a.pooling == Pooling::mean ? nullptr : "this row has means in f32 only";
}

const char* widened_mean_refuses(const Device& device, const TokenPoolForward& a) {
  return a.pooling == Pooling::mean ? refuses_widened(device, a) : "this row has means only";
}

constexpr Variant<TokenPoolForward> forward_rows[] = {
    {.name = "fast", .refuses = forward_fast_refuses, .run = forward_fast},
    {.name = "widened",
     .refuses = widened_mean_refuses,
     .workspace = widened_workspace<TokenPoolForward>,
     .run = run_widened<TokenPoolForward>},
    {.name = "reference", .refuses = nullptr, .run = forward_reference},
};
constexpr Variant<TokenPoolBackward> backward_rows[] = {
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace
}  // namespace kernels::cpu

namespace kernels {
const Rows<TokenPoolForward> TokenPoolForward::cpu{cpu::forward_rows};
const Rows<TokenPoolBackward> TokenPoolBackward::cpu{cpu::backward_rows};
}  // namespace kernels
