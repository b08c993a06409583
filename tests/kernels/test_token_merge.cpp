#include "kernels/cases/token_merge.h"

#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("token_merge_forward passes the battery") { test::battery<TokenMergeForward>(); }
TEST_CASE("token_merge_backward passes the battery") { test::battery<TokenMergeBackward>(); }

namespace {

using Values = std::vector<double>;

View tokens(Values& v, std::int64_t B) {
  return view_of(v.data(), DType::f64, {B, static_cast<std::int64_t>(v.size()) / B, 1});
}
View table(Values& v) { return view_of(v.data(), DType::f64, {static_cast<std::int64_t>(v.size()), 1}); }

}  // namespace

TEST_CASE("merge puts kept tokens back and rows of the table elsewhere") {
  // two samples, L = 3 patches, K = 1 kept: patch 2 of the first, patch 0 of the second
  std::vector<std::int32_t> ids{2, 0}, rank{1, 2, 0, 0, 1, 2};
  const View kept = view_of(ids.data(), DType::i32, {2, 1}), ranks = view_of(rank.data(), DType::i32, {2, 3});
  Stream stream(devices().front());
  Values x{1, 10, 2, 20}, patches{7, 8, 9}, out(8);
  launch(stream, TokenMergeForward{.x = tokens(x, 2), .table = table(patches), .rank = ranks, .out = tokens(out, 2)});
  CHECK(out == Values{1, 7, 8, 10, 2, 20, 8, 9});

  Values dout{1, 2, 3, 4, 50, 60, 70, 80}, dx(4), dtable(3);
  TokenMergeBackward backward{
      .dout = tokens(dout, 2), .rank = ranks, .ids = kept, .dx = tokens(dx, 2), .dtable = table(dtable)};
  launch(stream, backward);
  CHECK(dx == Values{1, 4, 50, 60});
  CHECK(dtable == Values{2, 3 + 70, 80});

  Values alone(3, 9);  // the battery cannot have this one: without dx nothing but ids tells K
  backward.dx = View{};
  backward.dtable = table(alone);
  launch(stream, backward);
  CHECK(alone == dtable);
}

TEST_CASE("a table's gradient has the same bits with any number of threads") {
  for (const char* row : {"fast", "reference"}) {
    for (const DType t : {DType::f32, DType::bf16})
      test::check_threads(Case<TokenMergeBackward>::make(Dims("B=7 K=5 L=11 C=1100"), t)[0], row);
  }
}

TEST_CASE("the cost of a merge's gradients is that of the rows they need") {
  const double token = 5 * 4, rank = 2 * 4 * 4, ids = 2 * 3 * 4;  // bytes
  auto merge = Case<TokenMergeBackward>::make(Dims("B=2 K=3 L=4 C=5"), DType::f32)[0];
  CHECK(cost(merge).bytes == (2 * 5 + 2 * 4 + 4) * token + rank + ids);
  CHECK(cost(merge).flops == 2 * 5);
  merge.dtable = View{};
  CHECK(cost(merge).bytes == 2 * 2 * 4 * token + ids);
}

TEST_CASE("merge refuses what does not fit") {
  const Dims d("B=2 K=3 L=4 C=5");
  auto forward = Case<TokenMergeForward>::make(d, DType::f32)[0];
  forward.table = shaped(DType::f32, {5, 5});  // L + 1 rows: the class token has none
  CHECK_THROWS_WITH(validate(forward), ContainsSubstring("table must be (L, C)"));
  auto backward = Case<TokenMergeBackward>::make(d, DType::bf16)[0];
  backward.dtable.dtype = DType::f32;
  CHECK_THROWS_WITH(validate(backward), ContainsSubstring("dtype of dout"));
  backward.dx = backward.dtable = View{};
  CHECK_THROWS_WITH(validate(backward), ContainsSubstring("nothing is wanted"));
}
