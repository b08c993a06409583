#include "kernels/drop_path.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

// out = x + scale * branch, and out = scale * x, of one row
template <class T>
void add_scaled(const T* x, const T* branch, double scale, std::int64_t C, T* out) {
  using Sum = Statistics<T>;
  for (std::int64_t c = 0; c < C; ++c) out[c] = T(Sum(x[c]) + Sum(scale) * Sum(branch[c]));
}
template <class T>
void scaled(const T* x, double scale, std::int64_t C, T* out) {
  using Sum = Statistics<T>;
  for (std::int64_t c = 0; c < C; ++c) out[c] = T(Sum(scale) * Sum(x[c]));
}

// ---- fast: the same for f32 and bf16, vectorised --------------------------------------------------------------------

MAE_VECTOR void add_scaled_fast(const float* x, const float* branch, double scale, std::int64_t C, float* out) {
  const float s = static_cast<float>(scale);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c] = x[c] + s * branch[c];
}
MAE_VECTOR void add_scaled_fast(const bf16* x, const bf16* branch, double scale, std::int64_t C, bf16* out) {
  const float s = static_cast<float>(scale);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c].bits = bf16(x[c] + s * branch[c]).bits;  // bits alone are vectorised
}
MAE_VECTOR void scaled_fast(const float* x, double scale, std::int64_t C, float* out) {
  const float s = static_cast<float>(scale);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c] = s * x[c];
}
MAE_VECTOR void scaled_fast(const bf16* x, double scale, std::int64_t C, bf16* out) {
  const float s = static_cast<float>(scale);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c].bits = bf16(s * x[c]).bits;
}

// ---- the walk over tokens, one for both rows ------------------------------------------------------------------------

template <class T, class AddScaled>
void forward(const DropPathForward& a, AddScaled add_scaled_row) {
  const std::int64_t tokens = a.x.shape[1], C = a.x.cols();
  parallel_for(a.x.rows(), [&](std::int64_t r) {
    const T* x = a.x.row<T>(r);
    if (a.keep.row<std::int32_t>(r / tokens)[0]) add_scaled_row(x, a.branch.row<T>(r), a.scale, C, a.out.row<T>(r));
    else std::copy_n(x, C, a.out.row<T>(r));
  });
}

template <class T, class Scaled>
void backward(const DropPathBackward& a, Scaled scaled_row) {
  const std::int64_t tokens = a.dout.shape[1], C = a.dout.cols();
  parallel_for(a.dout.rows(), [&](std::int64_t r) {
    T* dbranch = a.dbranch.row<T>(r);
    if (a.keep.row<std::int32_t>(r / tokens)[0]) scaled_row(a.dout.row<T>(r), a.scale, C, dbranch);
    else std::fill_n(dbranch, C, T{});
  });
}

void forward_reference(Stream&, const DropPathForward& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) { forward<T>(a, add_scaled<T>); });
}
void backward_reference(Stream&, const DropPathBackward& a, void*) {
  visit_floating(a.dout.dtype, [&]<class T>(T) { backward<T>(a, scaled<T>); });
}

// f(T{}) for the types of the fast rows
template <class F>
void visit_fast(DType type, F f) {
  type == DType::f32 ? f(float{}) : f(bf16{});
}

void forward_fast(Stream&, const DropPathForward& a, void*) {
  visit_fast(a.x.dtype, [&]<class T>(T) {
    forward<T>(a, [](const T* x, const T* branch, double scale, std::int64_t C, T* out) {
      add_scaled_fast(x, branch, scale, C, out);
    });
  });
}
void backward_fast(Stream&, const DropPathBackward& a, void*) {
  visit_fast(a.dout.dtype, [&]<class T>(T) {
    backward<T>(a, [](const T* x, double scale, std::int64_t C, T* out) { scaled_fast(x, scale, C, out); });
  });
}

template <class Args>
const char* is_f64(const Device&, const Args& a) {
  bool found = false;
  Args::fields(a, [&](const char*, const View& v, Role) { found = found || v.dtype == DType::f64; });
  return found ? "this row has f32 and bf16 only" : nullptr;
}

constexpr Variant<DropPathForward> forward_rows[] = {
    {.name = "fast", .refuses = is_f64<DropPathForward>, .run = forward_fast},
    {.name = "reference", .refuses = nullptr, .run = forward_reference},
};
constexpr Variant<DropPathBackward> backward_rows[] = {
    {.name = "fast", .refuses = is_f64<DropPathBackward>, .run = backward_fast},
    {.name = "reference", .refuses = nullptr, .run = backward_reference},
};

}  // namespace
}  // namespace kernels::cpu

namespace kernels {
const Rows<DropPathForward> DropPathForward::cpu{cpu::forward_rows};
const Rows<DropPathBackward> DropPathBackward::cpu{cpu::backward_rows};
}  // namespace kernels
