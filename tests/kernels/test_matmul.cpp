#include "kernels/cases/matmul.h"
#include "kernels/core/build.h"

#include "kernels/cpu/parallel.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("matmul passes the battery") { test::battery<MatMul>(); }

TEST_CASE("matmul gives the product that a hand gives") {
  double a[] = {1, 2, 3, 4, 5, 6}, b[] = {7, 8, 9, 10, 11, 12}, bias[] = {100, 200}, out[4];
  Stream stream(devices().front());
  MatMul s{.a = view_of(a, DType::f64, {2, 3}),
           .b = view_of(b, DType::f64, {3, 2}),
           .bias = view_of(bias, DType::f64, {2}),
           .out = view_of(out, DType::f64, {2, 2})};
  for (const auto& variant : rows_of<MatMul>(DeviceKind::cpu)) {
    if (variant.refuses && variant.refuses(stream.device(), s)) continue;
    launch(stream, s, variant.name);
    CHECK(std::vector<double>(out, out + 4) == std::vector<double>{158, 264, 239, 354});
    MatMul transposed = s;  // b as (N, K): rows (7, 8, 9) and (10, 11, 12)
    transposed.b = view_of(b, DType::f64, {2, 3});
    transposed.b_layout = Layout::transposed;
    launch(stream, transposed, variant.name);
    CHECK(std::vector<double>(out, out + 4) == std::vector<double>{150, 268, 222, 367});
  }
}

TEST_CASE("matmul refuses what does not fit") {
  const MatMul good = Case<MatMul>::make(Dims("M=4 N=6 K=8"), DType::f32)[2];
  MatMul wrong = good;
  wrong.mode = Write::accumulate;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("neither bias nor residual"));
  wrong = good;
  wrong.b_layout = Layout::plain;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("inner sizes"));
  wrong = good;
  wrong.b.dtype = DType::bf16;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("one dtype"));
  wrong = good;
  wrong.out.dtype = wrong.residual.dtype = DType::f64;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("out must have the dtype of a"));
}

#ifdef _OPENMP
TEST_CASE("every matmul row gives the same bits on any number of threads") {
  const int threads = omp_get_max_threads();
  for (const auto& [row, shape] :
       {std::pair("tiled", "M=203 N=270 K=530"), std::pair("reference", "M=203 N=270 K=530"),
        std::pair("openblas", "M=203 N=270 K=530"), std::pair("openblas", "M=50 N=192 K=588")}) {
    if (!with_openblas && std::string(row) == "openblas") continue;
    for (const MatMul& args : Case<MatMul>::make(Dims(shape), DType::f32)) {
      test::Bench<MatMul> exact(devices().front(), args), bench(devices().front(), args);
      test::make_inputs(exact, bench);
      bench.upload();
      bench.run(row);
      bench.download();
      const auto before = test::snapshot(bench);
      for (int count : {1, 3, 4}) {
        test::make_inputs(exact, bench);
        bench.upload();
        omp_set_num_threads(count);
        bench.run(row);
        omp_set_num_threads(threads);
        bench.download();
        CHECK((test::snapshot(bench) == before));  // a bool: nobody wants megabytes printed
      }
    }
  }
}
#endif
