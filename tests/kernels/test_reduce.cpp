#include "kernels/cases/reduce.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("column_sum passes the battery") { test::battery<ColumnSum>(); }
TEST_CASE("squared_norm passes the battery") { test::battery<SquaredNorm>(); }

TEST_CASE("column_sum adds up whole columns, on top of what is there when asked") {
  constexpr std::int64_t R = 700, C = 3, stride = 5;
  std::vector<float> x(R * stride, 1e9f), out{100, 200, 300}, scratch(3 * C);
  for (std::int64_t r = 0; r < R; ++r) {
    for (std::int64_t c = 0; c < C; ++c)
      x[static_cast<std::size_t>(r * stride + c)] = static_cast<float>((r + 1) * (c + 1));
  }
  const float triangle = R * (R + 1) / 2;
  Stream stream(devices().front());
  stream.lend_scratch(scratch.data(), scratch.size() * sizeof(float));
  ColumnSum a{.x = view_of(x.data(), DType::f32, {R, C}, stride), .out = view_of(out.data(), DType::f32, {C})};
  for (const char* row : {"fast", "reference"}) {
    INFO(row);
    out = {100, 200, 300};
    a.mode = Write::accumulate;
    launch(stream, a, row);
    CHECK(out == std::vector<float>{100 + triangle, 200 + 2 * triangle, 300 + 3 * triangle});
    a.mode = Write::overwrite;
    launch(stream, a, row);
    CHECK(out == std::vector<float>{triangle, 2 * triangle, 3 * triangle});
  }
}

TEST_CASE("squared_norm of many small terms does not stop growing") {
  // in f32 a plain sum of 0.01 stops near 2.6e5, where half a unit in the last place is more than a term
  constexpr std::int64_t N = 1 << 25;
  std::vector<float> x(N, 0.1f);
  std::vector<double> scratch(N >> 16);
  const double exact = static_cast<double>(0.1f) * static_cast<double>(0.1f) * N;
  float out = 0;
  Stream stream(devices().front());
  stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
  for (const char* row : {"fast", "reference"}) {
    INFO(row);
    launch(stream, SquaredNorm{.x = view_of(x.data(), DType::f32, {N}), .out = view_of(&out, DType::f32, {1})}, row);
    CHECK(std::abs(out / exact - 1) < 1e-7);
  }
}

TEST_CASE("squared_norm sees one value that is not finite, wherever it stands") {
  std::vector<float> x(200001, 1.0f);
  std::vector<double> scratch(4);
  float out = 0;
  Stream stream(devices().front());
  stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
  for (std::size_t place : {std::size_t{0}, std::size_t{77777}, x.size() - 1}) {
    for (const char* row : {"fast", "reference"}) {
      x[place] = NAN;
      const SquaredNorm a{.x = view_of(x.data(), DType::f32, {200001}), .out = view_of(&out, DType::f32, {1})};
      launch(stream, a, row);
      CHECK(std::isnan(out));
      x[place] = -INFINITY;
      launch(stream, a, row);
      CHECK(std::isinf(out));
      x[place] = 1;
    }
  }
}

TEST_CASE("sums have the same bits with any number of threads") {
  for (const char* row : {"fast", "reference"}) {
    for (const ColumnSum& a : Case<ColumnSum>::make(Dims("R=2000 C=70"), DType::f32)) test::check_threads(a, row);
    test::check_threads(Case<SquaredNorm>::make(Dims("N=500001"), DType::f32)[0], row);
  }
}
