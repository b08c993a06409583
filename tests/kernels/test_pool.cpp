#include "kernels/cases/pool.h"
#include "tests/support/battery.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("token_pool_forward passes the battery") { test::battery<TokenPoolForward>(); }
TEST_CASE("token_pool_backward passes the battery") { test::battery<TokenPoolBackward>(); }

TEST_CASE("pooling takes the patch tokens or the class token, and their gradients go back there") {
  std::vector<double> x{100, -100, 1, 2, 3, 5, 8, -4}, out(2), dout{6, 9}, dx(8, 7.0);  // three patch tokens
  Stream stream(devices().front());
  const View tokens = view_of(x.data(), DType::f64, {1, 4, 2}), pooled = view_of(out.data(), DType::f64, {1, 2});
  const View gradient = view_of(dx.data(), DType::f64, {1, 4, 2}), given = view_of(dout.data(), DType::f64, {1, 2});
  launch(stream, TokenPoolForward{.x = tokens, .out = pooled});
  CHECK(out == std::vector<double>{4, 1});
  launch(stream, TokenPoolForward{.x = tokens, .out = pooled, .pooling = Pooling::cls});
  CHECK(out == std::vector<double>{100, -100});
  launch(stream, TokenPoolBackward{.dout = given, .dx = gradient});
  CHECK(dx == std::vector<double>{0, 0, 2, 3, 2, 3, 2, 3});
  launch(stream,
         TokenPoolBackward{.dout = given, .dx = gradient, .dx_mode = Write::accumulate, .pooling = Pooling::cls});
  CHECK(dx == std::vector<double>{6, 9, 2, 3, 2, 3, 2, 3});
}

TEST_CASE("pooling has the same bits with any number of threads") {
  const Dims sizes("B=5 L=49 C=100");
  for (const char* row : {"fast", "reference"})
    test::check_threads(Case<TokenPoolForward>::make(sizes, DType::f32)[0], row);
  test::check_threads(Case<TokenPoolBackward>::make(sizes, DType::f32)[2], "reference");
}

TEST_CASE("pooling refuses what does not fit") {
  TokenPoolForward a = Case<TokenPoolForward>::make(Dims("B=2 L=1 C=3"), DType::f32)[0];
  CHECK_NOTHROW(validate(a));
  a.x = shaped(DType::f32, {2, 1, 3});
  CHECK_THROWS_WITH(validate(a),
                    ContainsSubstring("token_pool_forward") && ContainsSubstring("behind the class token"));
  a.pooling = Pooling::cls;
  CHECK_NOTHROW(validate(a));
  a.out.dtype = DType::bf16;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("in the dtype of the tokens"));
}
