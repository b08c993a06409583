#include "kernels/cases/tokens.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("token_gather_forward passes the battery") { test::battery<TokenGatherForward>(); }
TEST_CASE("token_gather_backward passes the battery") { test::battery<TokenGatherBackward>(); }
TEST_CASE("token_embed_forward passes the battery") { test::battery<TokenEmbedForward>(); }
TEST_CASE("token_embed_backward passes the battery") { test::battery<TokenEmbedBackward>(); }
TEST_CASE("token_scatter_forward passes the battery") { test::battery<TokenScatterForward>(); }
TEST_CASE("token_scatter_backward passes the battery") { test::battery<TokenScatterBackward>(); }

namespace {

// One sample, L = 3 patches, K = 2 kept: patch 2 first, then patch 0; C = 1.
struct Tiny {
  std::vector<std::int32_t> ids{2, 0, 1}, rank{1, 2, 0};
  Stream stream{devices().front()};

  View kept_ids() { return view_of(ids.data(), DType::i32, {1, 2}, 3); }
  View ranks() { return view_of(rank.data(), DType::i32, {1, 3}); }
};
View tokens(std::vector<double>& v) {
  return view_of(v.data(), DType::f64, {1, static_cast<std::int64_t>(v.size()), 1});
}
View table(std::vector<double>& v) { return view_of(v.data(), DType::f64, {static_cast<std::int64_t>(v.size()), 1}); }

using Values = std::vector<double>;

}  // namespace

TEST_CASE("gather takes the kept patches in their shuffled order, and its gradient goes back") {
  Tiny tiny;
  Values x{10, 20, 30}, out(2), dx{1, 1, 1};
  launch(tiny.stream, TokenGatherForward{.x = tokens(x), .ids = tiny.kept_ids(), .out = tokens(out)});
  CHECK(out == Values{30, 10});
  TokenGatherBackward backward{.dout = tokens(out), .rank = tiny.ranks(), .dx = tokens(dx)};
  launch(tiny.stream, backward);
  CHECK(dx == Values{10, 0, 30});
  backward.dx_mode = Write::accumulate;
  launch(tiny.stream, backward);
  CHECK(dx == Values{20, 0, 60});
}

TEST_CASE("gather takes any part of the shuffled order, behind a class token") {
  Tiny tiny;
  Values x{5, 10, 20, 30}, out(1), dx(4, 9);  // the token of rank 1 alone: patch 0
  const View second = view_of(tiny.ids.data() + 1, DType::i32, {1, 1}, 3);
  launch(tiny.stream, TokenGatherForward{.x = tokens(x), .ids = second, .out = tokens(out), .class_tokens = 1});
  CHECK(out == Values{10});
  TokenGatherBackward backward{
      .dout = tokens(out), .rank = tiny.ranks(), .dx = tokens(dx), .class_tokens = 1, .first_rank = 1};
  launch(tiny.stream, backward);
  CHECK(dx == Values{0, 10, 0, 0});
  backward.dx_mode = Write::accumulate;
  launch(tiny.stream, backward);
  CHECK(dx == Values{0, 20, 0, 0});
}

TEST_CASE("embed adds each token the position of its patch") {
  Tiny tiny;
  Values x{30, 10}, cls{5}, positions{0.1, 0.2, 0.3, 0.4}, out(3);
  TokenEmbedForward a{
      .x = tokens(x), .cls = table(cls), .positions = table(positions), .ids = tiny.kept_ids(), .out = tokens(out)};
  launch(tiny.stream, a);
  CHECK(out == Values{5 + 0.1, 30 + 0.4, 10 + 0.2});
  Values without_class{0.2, 0.3, 0.4};
  a.positions = table(without_class);
  a.class_position = ClassPosition::none;
  launch(tiny.stream, a);
  CHECK(out == Values{5, 30 + 0.4, 10 + 0.2});

  Values dout{1, 2, 3}, dx(2), dcls(1), dpositions(4, 9);
  TokenEmbedBackward backward{.dout = tokens(dout),
                              .rank = tiny.ranks(),
                              .dx = tokens(dx),
                              .dcls = table(dcls),
                              .dpositions = table(dpositions)};
  launch(tiny.stream, backward);
  CHECK(dx == Values{2, 3});
  CHECK(dcls == Values{1});
  CHECK(dpositions == Values{1, 3, 0, 2});
  Values dpatches(3, 9);
  backward.dpositions = table(dpatches);
  backward.class_position = ClassPosition::none;
  launch(tiny.stream, backward);
  CHECK(dpatches == Values{3, 0, 2});
}

TEST_CASE("embed takes a sequence that has its class token") {
  Tiny tiny;
  Values x{5, 30, 10}, positions{0.1, 0.2, 0.3, 0.4}, out(3), dx(3), dpositions(4);
  launch(tiny.stream,
         TokenEmbedForward{.x = tokens(x), .positions = table(positions), .ids = tiny.kept_ids(), .out = tokens(out)});
  CHECK(out == Values{5 + 0.1, 30 + 0.4, 10 + 0.2});
  launch(tiny.stream, TokenEmbedBackward{
                          .dout = tokens(x), .rank = tiny.ranks(), .dx = tokens(dx), .dpositions = table(dpositions)});
  CHECK(dx == x);
  CHECK(dpositions == Values{5, 10, 0, 30});
}

TEST_CASE("scatter puts kept tokens back and mask tokens elsewhere") {
  Tiny tiny;
  Values x{1, 30, 10}, mask{7}, positions{0.1, 0.2, 0.3, 0.4}, out(4);
  launch(tiny.stream, TokenScatterForward{.x = tokens(x),
                                          .mask_token = table(mask),
                                          .positions = table(positions),
                                          .rank = tiny.ranks(),
                                          .out = tokens(out)});
  CHECK(out == Values{1 + 0.1, 10 + 0.2, 7 + 0.3, 30 + 0.4});

  Values dout{1, 2, 3, 4}, dx(3), dmask(1), dpositions(4);
  launch(tiny.stream, TokenScatterBackward{.dout = tokens(dout),
                                           .rank = tiny.ranks(),
                                           .ids = tiny.kept_ids(),
                                           .dx = tokens(dx),
                                           .dmask_token = table(dmask),
                                           .dpositions = table(dpositions)});
  CHECK(dx == Values{1, 4, 2});
  CHECK(dmask == Values{3});
  CHECK(dpositions == dout);

  Values alone(1, 9);  // the battery cannot have this one: without dx nothing but ids tells K
  launch(tiny.stream,
         TokenScatterBackward{
             .dout = tokens(dout), .rank = tiny.ranks(), .ids = tiny.kept_ids(), .dmask_token = table(alone)});
  CHECK(alone == dmask);
}

TEST_CASE("sums over samples have the same bits with any number of threads") {
  const Dims d("B=7 K=5 L=11 C=1100");
  for (const char* row : {"fast", "reference"}) {
    for (const DType t : {DType::f32, DType::bf16}) {
      test::check_threads(Case<TokenEmbedBackward>::make(d, t)[0], row);
      test::check_threads(Case<TokenScatterBackward>::make(d, t)[0], row);
    }
  }
}

TEST_CASE("the cost of a token gradient is that of the rows it needs") {
  const Dims d("B=2 K=3 L=4 C=5");
  const double token = 5 * 4, rank = 2 * 4 * 4, ids = 2 * 3 * 4;  // bytes
  auto embed = Case<TokenEmbedBackward>::make(d, DType::f32)[0];
  CHECK(cost(embed).bytes == (2 * 4 + 2 * 3 + 1 + 5) * token + rank);
  embed.dx = embed.dpositions = View{};
  CHECK(cost(embed).bytes == (2 + 1) * token);
  CHECK(cost(embed).flops == 2 * 5);
  auto scatter = Case<TokenScatterBackward>::make(d, DType::f32)[0];
  CHECK(cost(scatter).bytes == (2 * 5 + 2 * 4 + 1 + 5) * token + rank + ids);
  scatter.dx = scatter.dpositions = View{};
  CHECK(cost(scatter).bytes == (2 + 1) * token + rank);
  CHECK(cost(scatter).flops == 2 * 5);
}

TEST_CASE("token kernels refuse what does not fit") {
  const Dims d("B=2 K=3 L=4 C=5");
  auto gather = Case<TokenGatherForward>::make(d, DType::f32)[0];
  gather.x.shape.dims[1] = 2;
  CHECK_THROWS_WITH(validate(gather), ContainsSubstring("K at most L"));
  gather.x.shape.dims[1] = gather.class_tokens = 3;
  CHECK_THROWS_WITH(validate(gather), ContainsSubstring("class_tokens must be 0 or 1"));
  auto gather_backward = Case<TokenGatherBackward>::make(d, DType::f32)[0];
  gather_backward.first_rank = 2;
  CHECK_THROWS_WITH(validate(gather_backward), ContainsSubstring("first_rank"));
  auto embed = Case<TokenEmbedForward>::make(d, DType::f32)[0];
  embed.positions = shaped(DType::f32, {3, 5});  // K rows, where 1 + K are the fewest
  CHECK_THROWS_WITH(validate(embed), ContainsSubstring("positions must be (L + 1, C)"));
  auto embed_backward = Case<TokenEmbedBackward>::make(d, DType::f32)[0];
  embed_backward.dpositions = shaped(DType::f32, {4, 5});  // L rows, but the class row was not given up
  CHECK_THROWS_WITH(validate(embed_backward), ContainsSubstring("ClassPosition::none"));
  embed_backward.dpositions = View{};
  embed_backward.dx = shaped(DType::f32, {2, 4, 5});
  CHECK_THROWS_WITH(validate(embed_backward), ContainsSubstring("dcls must be null"));
  embed_backward.dx = embed_backward.dcls = embed_backward.dpositions = View{};
  CHECK_THROWS_WITH(validate(embed_backward), ContainsSubstring("nothing is wanted"));
  auto scatter = Case<TokenScatterBackward>::make(d, DType::bf16)[0];
  scatter.dmask_token.dtype = DType::bf16;
  CHECK_THROWS_WITH(validate(scatter), ContainsSubstring("dmask_token must be (1, C)"));
  scatter = Case<TokenScatterBackward>::make(d, DType::f32)[0];
  scatter.ids.dtype = DType::u32;
  CHECK_THROWS_WITH(validate(scatter), ContainsSubstring("ids must be i32"));
}
