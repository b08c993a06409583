#include "kernels/cases/matmul.h"

#include <cmath>

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

TEST_CASE("matmul takes GELU, its slope and column sums with it") {
  double a[] = {1, 2}, b[] = {3, -1}, bias[] = {0.5, 0.25}, out[4], pre[4], sums[] = {10, 20};
  Stream stream(devices().front());
  MatMul s{.a = view_of(a, DType::f64, {2, 1}),
           .b = view_of(b, DType::f64, {1, 2}),
           .bias = view_of(bias, DType::f64, {2}),
           .out = view_of(out, DType::f64, {2, 2}),
           .pre = view_of(pre, DType::f64, {2, 2}),
           .column_sum = view_of(sums, DType::f64, {2}),
           .activation = Activation::gelu};
  launch(stream, s, "reference");
  const double expected[] = {3.5, -0.75, 6.5, -1.75};
  for (int i = 0; i < 4; ++i) {
    const double x = expected[i];
    CHECK(pre[i] == x);
    CHECK(out[i] == Approx(x * (1 + std::erf(x / std::sqrt(2.0))) / 2).epsilon(1e-14));
  }
  CHECK(sums[0] == out[0] + out[2]);
  CHECK(sums[1] == out[1] + out[3]);
  s.activation = Activation::gelu_backward;
  s.bias = {};
  s.sum_mode = Write::accumulate;
  const double before = sums[0];
  launch(stream, s, "reference");
  const double product[] = {3, -1, 6, -2}, h = 1e-5;
  for (int i = 0; i < 4; ++i) {
    const auto gelu = [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; };
    CHECK(out[i] == Approx(product[i] * (gelu(pre[i] + h) - gelu(pre[i] - h)) / (2 * h)).margin(1e-9));
  }
  CHECK(sums[0] == Approx(before + out[0] + out[2]));
}

TEST_CASE("matmul refuses epilogues that do not go together") {
  const auto gelu = Case<MatMul>::make(Dims("M=4 N=6 K=8 GELU=1"), DType::bf16);
  for (const MatMul& good : gelu) CHECK_NOTHROW(validate(good));
  MatMul wrong = gelu[1];
  wrong.residual = wrong.out;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("an activation takes no residual"));
  wrong = gelu[0];
  wrong.pre = wrong.out;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("pre is for an activation"));
  wrong = gelu[3];
  wrong.bias = gelu[0].bias;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("gelu_backward takes pre and no bias"));
  wrong = gelu[3];
  wrong.pre = {};
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("gelu_backward takes pre and no bias"));
  wrong = gelu[3];
  wrong.mode = Write::accumulate;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("neither an activation nor column_sum"));
  wrong = gelu[0];
  wrong.column_sum.dtype = DType::bf16;
  CHECK_THROWS_WITH(validate(wrong), ContainsSubstring("column_sum must be (N)"));
}

TEST_CASE("matmul=mma plans scratch without addresses, enough for every address, and some 16 MiB at most") {
  if (!with_cuda && !with_simt) return;
  const Device h100 = find_device("h100-80");
  for (const char* shape :
       {"M=768 N=768 K=12800", "M=512 N=588 K=3200", "M=12608 N=2048 K=512 GELU=1", "M=100 N=70 K=90"}) {
    for (const MatMul& args : Case<MatMul>::make(Dims(shape), DType::bf16)) {
      MatMul odd = args;
      MatMul::fields(odd, [](const char*, View& v, Role) { v.data = v ? reinterpret_cast<void*>(2) : nullptr; });
      const auto& mma = choose(h100, args, "mma");
      const std::size_t bytes = mma.workspace(h100, args);
      CHECK(bytes == mma.workspace(h100, odd));
      CHECK(bytes <= std::size_t{18} << 20);
    }
  }
  const MatMul weight_gradient = Case<MatMul>::make(Dims("M=768 N=768 K=12800"), DType::bf16)[5];
  CHECK(choose(h100, weight_gradient, "mma").workspace(h100, weight_gradient) > 0);  // parts of K
}

TEST_CASE("matmul=mma on a GPU takes the large tile and parts of K, as on a GPU of four multiprocessors") {
  for (Device device : devices()) {
    if (device.kind == DeviceKind::cpu) continue;
    device.multiprocessors = 4;
    for (const char* shape : {"M=136 N=136 K=520", "M=136 N=24 K=520"}) {
      for (const MatMul& args : Case<MatMul>::make(Dims(shape), DType::bf16)) {
        test::Expected<MatMul> expected(args);
        test::RowReport report;
        report.reordered.insert(DType::bf16);  // once is enough: the battery has other orders
        INFO(describe(MatMul::kernel, fields_of(args)) << " on " << device.name);
        test::check_row(device, args, choose(device, args, "mma"), 0, expected, report);
        CHECK(report.runs > 0);
      }
    }
  }
}

TEST_CASE("matmul=wgmma on a GPU has rings of two to six stages, and clusters that take several pairs of tiles") {
  struct Shape {
    int multiprocessors;
    std::size_t kib;
    const char* dims;
  };
  for (Device device : devices()) {
    if (device.kind == DeviceKind::cpu || (device.kind == DeviceKind::cuda && (device.capability != 90 || !with_sm90a)))
      continue;
    for (const Shape& shape : {Shape{4, 227, "M=304 N=264 K=400"},           // 6 stages; 2 clusters with 3 pairs each
                               Shape{2, 227, "M=264 N=264 K=40 GELU=1"},     // one step a tile; 1 cluster, 6 pairs
                               Shape{4, 65, "M=136 N=392 K=136"},            // 2 stages; 2 clusters with 2 pairs each
                               Shape{6, 130, "M=136 N=520 K=72 GELU=1"}}) {  // 4 stages; 3 clusters, 5 pairs
      device.multiprocessors = shape.multiprocessors;
      device.shared_memory = shape.kib << 10;
      test::RowReport report;
      if (shape.kib != 65) report.reordered.insert(DType::bf16);  // other orders for one of them
      for (const MatMul& args : Case<MatMul>::make(Dims(shape.dims), DType::bf16)) {
        test::Expected<MatMul> expected(args);
        INFO(describe(MatMul::kernel, fields_of(args)) << " on " << device.name);
        test::check_row(device, args, choose(device, args, "wgmma"), 0, expected, report);
      }
      CHECK(report.runs > 0);
      CHECK(report.warps >= 12u * static_cast<unsigned>(shape.multiprocessors));  // passes behind it may have more
    }
  }
}

TEST_CASE("matmul=wgmma refuses what its copies cannot take, and other GPUs") {
  if (!with_cuda && !with_simt) return;
  MatMul args = Case<MatMul>::make(Dims("M=64 N=64 K=64"), DType::bf16)[0];
  const Device h100 = find_device("h100-80");
  if (!with_cuda || with_sm90a) CHECK_NOTHROW(choose(h100, args, "wgmma"));
  CHECK_THROWS_WITH(choose(find_device("a100-80"), args, "wgmma"), ContainsSubstring("compute capability 9.0 alone"));
  Device small = h100;
  small.shared_memory = std::size_t{64} << 10;
  CHECK_THROWS_WITH(choose(small, args, "wgmma"), ContainsSubstring("two stages"));
  args.b.row_stride = 68;
  CHECK_THROWS_WITH(choose(h100, args, "wgmma"), ContainsSubstring("multiples of 16 bytes"));
  args.b.row_stride = 64, args.a.row_stride = 68;
  CHECK_THROWS_WITH(choose(h100, args, "wgmma"), ContainsSubstring("multiples of 16 bytes"));
  CHECK_THROWS_WITH(choose(h100, Case<MatMul>::make(Dims("M=64 N=64 K=64"), DType::f32)[0], "wgmma"),
                    ContainsSubstring("bf16 only"));
}

#ifdef _OPENMP
TEST_CASE("every matmul row gives the same bits on any number of threads") {
  const int threads = omp_get_max_threads();
  for (const auto& [row, shape] :
       {std::pair("tiled", "M=203 N=270 K=530"), std::pair("tiled", "M=37 N=70 K=1601"),
        std::pair("reference", "M=203 N=270 K=530"), std::pair("openblas", "M=203 N=270 K=530"),
        std::pair("openblas", "M=50 N=192 K=588")}) {
    if (!with_openblas && std::string(row) == "openblas") continue;
    for (const MatMul& args : Case<MatMul>::make(Dims(shape), DType::f32)) {
      test::Bench<MatMul> exact(devices().front(), args), bench(devices().front(), args);
      test::make_inputs(exact, bench);
      bench.upload();
      bench.run(row);
      bench.download();
      const auto before = test::snapshot(bench);
      for (int count : with_address_sanitizer ? std::vector{3} : std::vector{1, 3, 4}) {
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
