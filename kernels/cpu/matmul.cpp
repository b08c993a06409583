#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "kernels/cpu/widened.h"
#include "kernels/matmul_passes.h"

namespace kernels::cpu {
namespace {

// ---- reference: three loops

template <class T, class Out>
void row(const MatMul& s, std::int64_t m) {
  using Sum = Statistics<T>;
  const std::int64_t N = s.n(), K = s.k();
  const bool a_plain = s.a_layout == Layout::plain, b_plain = s.b_layout == Layout::plain;
  Out* out = s.out.row<Out>(m);
  for (std::int64_t n = 0; n < N; ++n) {
    Sum sum = 0;
    for (std::int64_t k = 0; k < K; ++k) {
      const T a = a_plain ? s.a.row<T>(m)[k] : s.a.row<T>(k)[m];
      const T b = b_plain ? s.b.row<T>(k)[n] : s.b.row<T>(n)[k];
      sum += Sum(a) * Sum(b);
    }
    if (s.bias) sum += Sum(s.bias.as<T>()[n]);
    if (s.residual) sum += Sum(s.residual.row<Out>(m)[n]);
    if (s.mode == Write::accumulate) sum += Sum(out[n]);
    out[n] = Out(sum);
  }
}

void multiply_reference(const MatMul& s) {
  visit_floating(s.a.dtype, [&]<class T>(T) {
    if (s.out.dtype == s.a.dtype) {
      parallel_for(
          s.m(), [&](std::int64_t m) { row<T, T>(s, m); }, worth_threads(s));
    } else {
      parallel_for(
          s.m(), [&](std::int64_t m) { row<T, Statistics<T>>(s, m); }, worth_threads(s));
    }
  });
}

void reference(Stream& stream, const MatMul& s, void* scratch) {
  multiply_reference(product_of(s));
  run_passes(stream, s, scratch, "reference");
}

// ---- the table: fast products, and what follows them in a second pass over out

template <void (*product)(Stream&, const MatMul&, void*)>
void with_passes(Stream& stream, const MatMul& s, void* scratch) {
  product(stream, product_of(s), scratch);
  run_passes(stream, s, scratch);
}

std::size_t tiled_or_passes_workspace(const Device& device, const MatMul& s) {
  return std::max(tiled_workspace(device, s), passes_workspace(device, s));
}

#ifdef MAE_WITH_OPENBLAS
const char* openblas_refuses(const Device&, const MatMul& s) {
  return s.a.dtype == DType::bf16 ? "this row has f32 and f64 only" : nullptr;
}
#endif
const char* not_f32(const Device&, const MatMul& s) {
  return s.a.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<MatMul> rows[] = {
    {.name = "tiled",
     .refuses = not_f32,
     .workspace = tiled_or_passes_workspace,
     .run = with_passes<matmul_tiled>},
#ifdef MAE_WITH_OPENBLAS
    {.name = "openblas",
     .refuses = openblas_refuses,
     .workspace = passes_workspace,
     .run = with_passes<matmul_openblas>,
     .vendor = true},
#endif
    widened<MatMul>,
    {.name = "reference", .refuses = nullptr, .run = reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MatMul> MatMul::cpu{cpu::rows};
}  // namespace kernels
