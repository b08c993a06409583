#ifdef MAE_WITH_OPENBLAS  // CMake found both the header and the library
#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/matmul.h"

namespace kernels::cpu {
namespace {

// One share of the rows of out, on one thread.
void gemm(CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, int m, int n, int k, const float* A, int lda, const float* B, int ldb,
          float* out, int ldo) {
  cblas_sgemm(CblasRowMajor, a, b, m, n, k, 1.0f, A, lda, B, ldb, 1.0f, out, ldo);
}
void gemm(CBLAS_TRANSPOSE a, CBLAS_TRANSPOSE b, int m, int n, int k, const double* A, int lda, const double* B, int ldb,
          double* out, int ldo) {
  cblas_dgemm(CblasRowMajor, a, b, m, n, k, 1.0, A, lda, B, ldb, 1.0, out, ldo);
}

/// Rows of one share: a function of the shape alone. Each share packs b again, so few rows waste time; many keep
/// threads idle.
std::int64_t rows_a_share(std::int64_t M) { return std::clamp<std::int64_t>((M / 4 + 15) / 16 * 16, 64, 256); }

/// While it stands, the library runs on the calling thread: its own cut of the work would make bits depend on the
/// number of threads. Its OpenMP build asks our pool for its size at each call and sets it with its own, so both are
/// seen to here.
class OneThread {
 public:
  OneThread() : before_(threads()) {
    static const bool once = (openblas_set_num_threads(1), true);  // its pthread build has a pool of its own
    set_threads(once ? 1 : before_);
  }
  ~OneThread() { set_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

template <class T>
void run(const MatMul& s) {
  const std::int64_t M = s.m(), N = s.n(), share = rows_a_share(M);
  const bool a_plain = s.a_layout == Layout::plain;
  const CBLAS_TRANSPOSE a = a_plain ? CblasNoTrans : CblasTrans,
                        b = s.b_layout == Layout::plain ? CblasNoTrans : CblasTrans;
  const auto product = [&](std::int64_t i) {
    const std::int64_t m = i * share, end = std::min(M, m + share);
    start_out<T>(s, m, end, 0, N);
    const OneThread here;
    gemm(a, b, static_cast<int>(end - m), static_cast<int>(N), static_cast<int>(s.k()),
         a_plain ? s.a.row<T>(m) : s.a.as<T>() + m, static_cast<int>(s.a.row_stride), s.b.as<T>(),
         static_cast<int>(s.b.row_stride), s.out.row<T>(m), static_cast<int>(s.out.row_stride));
  };
  parallel_for((M + share - 1) / share, product, worth_threads(s));
}

}  // namespace

void matmul_openblas(Stream&, const MatMul& s, void*) { s.a.dtype == DType::f64 ? run<double>(s) : run<float>(s); }

}  // namespace kernels::cpu
#endif
