#include <algorithm>

#include "kernels/cpu/matmul.h"

#ifdef MAE_WITH_OPENBLAS  // CMake found both the header and the library
#include <cblas.h>
#endif

namespace kernels::cpu {

#ifdef MAE_WITH_OPENBLAS
namespace {

void gemm(const MatMul& s, CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, float) {
  cblas_sgemm(CblasRowMajor, a, b, static_cast<int>(s.m()), static_cast<int>(s.n()), static_cast<int>(s.k()), 1.0f,
              s.a.as<float>(), static_cast<int>(s.a.row_stride), s.b.as<float>(), static_cast<int>(s.b.row_stride),
              1.0f, s.out.as<float>(), static_cast<int>(s.out.row_stride));
}

void gemm(const MatMul& s, CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, double) {
  cblas_dgemm(CblasRowMajor, a, b, static_cast<int>(s.m()), static_cast<int>(s.n()), static_cast<int>(s.k()), 1.0,
              s.a.as<double>(), static_cast<int>(s.a.row_stride), s.b.as<double>(), static_cast<int>(s.b.row_stride),
              1.0, s.out.as<double>(), static_cast<int>(s.out.row_stride));
}

template <class T>
void run(const MatMul& s) {
  constexpr std::int64_t rows_a_block = 64;
  const std::int64_t M = s.m(), N = s.n();
  const auto start = [&](std::int64_t block) {
    start_out<T>(s, block * rows_a_block, std::min(M, (block + 1) * rows_a_block), 0, N);
  };
  parallel_for((M + rows_a_block - 1) / rows_a_block, start, worth_threads(s));
  gemm(s, s.a_layout == Layout::plain ? CblasNoTrans : CblasTrans,
       s.b_layout == Layout::plain ? CblasNoTrans : CblasTrans, T{});
}

}  // namespace

void matmul_openblas(Stream&, const MatMul& s, void*) { s.a.dtype == DType::f64 ? run<double>(s) : run<float>(s); }
#else
void matmul_openblas(Stream&, const MatMul&, void*) {}
#endif

}  // namespace kernels::cpu
