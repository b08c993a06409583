// Every op against finite differences in f64.
#include "kernels/masking.h"
#include "tests/support/op_check.h"

using namespace test;

namespace {

/// A masking of B samples and L patches, drawn as training draws it.
Masking some_masking(Session& session, std::int64_t B, std::int64_t L) {
  std::vector<double> draws;
  for (std::int64_t b = 0; b < B; ++b) draws.insert(draws.end(), {static_cast<double>(100 + b), 3.0});
  const Tensor table = session.variable({B, 2}, draws, DType::u32);
  Context context = session.context();
  return mask_ranks(context, table.view, L, 5);
}

}  // namespace

TEST_CASE("linear") {
  OpCheck check;
  const Parameter w = check.parameter({"w", {5, 7}}), b = check.parameter({"b", {5}});
  check.run({{2, 3, 7}}, [&](Context& c, const std::vector<Tensor>& x) { return linear(c, x[0], w, b); });
}

TEST_CASE("linear without bias, with a residual, and a weight of rank four") {
  OpCheck check;
  const Parameter w = check.parameter({"w", {6, 3, 2, 2}});
  check.run({{4, 12}, {4, 6}}, [&](Context& c, const std::vector<Tensor>& x) { return linear(c, x[0], w, {}, x[1]); });
}

TEST_CASE("a value that is used twice collects both gradients") {
  OpCheck check;
  const Parameter w = check.parameter({"w", {6, 6}}), b = check.parameter({"b", {6}});
  check.run({{4, 6}}, [&](Context& c, const std::vector<Tensor>& x) {
    const Tensor h = linear(c, x[0], w, b, x[0]);
    return linear(c, gelu(c, h), w, b, h);  // h twice, and w, b twice
  });
}

TEST_CASE("layernorm") {
  OpCheck check;
  const Parameter gamma = check.parameter({"gamma", {9}, 1}), beta = check.parameter({"beta", {9}});
  check.run({{2, 4, 9}},
            [&](Context& c, const std::vector<Tensor>& x) { return layernorm(c, x[0], gamma, beta, 1e-6); });
}

TEST_CASE("gelu") {
  OpCheck check;
  check.run({{6, 11}}, [](Context& c, const std::vector<Tensor>& x) { return gelu(c, x[0]); });
}

TEST_CASE("attention") {
  OpCheck check;
  check.run({{2, 5, 3 * 2 * 4}}, [](Context& c, const std::vector<Tensor>& x) { return attention(c, x[0], 2); });
}

TEST_CASE("token_gather") {
  OpCheck check;
  const Masking masking = some_masking(check.session(), 3, 8);
  check.run({{3, 8, 4}}, [&](Context& c, const std::vector<Tensor>& x) { return token_gather(c, x[0], masking, 3); });
}

TEST_CASE("token_embed, with positions for the class token and without") {
  for (const std::int64_t rows : {9, 8}) {
    OpCheck check;
    const Parameter cls = check.parameter({"cls", {1, 1, 4}}), positions = check.parameter({"positions", {1, rows, 4}});
    const Masking masking = some_masking(check.session(), 3, 8);
    check.run({{3, 2, 4}},
              [&](Context& c, const std::vector<Tensor>& x) { return token_embed(c, x[0], cls, positions, masking); });
  }
}

TEST_CASE("token_scatter") {
  OpCheck check;
  const Parameter token = check.parameter({"mask_token", {1, 1, 4}}),
                  positions = check.parameter({"positions", {1, 9, 4}});
  const Masking masking = some_masking(check.session(), 3, 8);
  check.run({{3, 3, 4}}, [&](Context& c, const std::vector<Tensor>& x) {
    return token_scatter(c, x[0], token, positions, masking);
  });
}

TEST_CASE("masked_mse, raw and normalised") {
  for (const auto pixels : {kernels::PixelTarget::raw, kernels::PixelTarget::normalized}) {
    Session session;
    const Masking masking = some_masking(session, 2, 6);
    const Tensor pred = session.variable({2, 7, 5}, normals(70, 1)),
                 target = session.variable({2, 6, 5}, normals(60, 2));
    const Tensor loss = session.variable({1}, {0});
    const MseOptions options{.keep = 2, .scale = 1.0 / 40, .pixels = pixels};
    Tape tape;
    Context taped = session.context(&tape), plain = session.context();
    tape.backward(taped, masked_mse(taped, pred, target, masking, loss.view, options));
    const auto f = [&] {
      masked_mse(plain, pred, target, masking, loss.view, options);
      return Session::get(loss.view, 0);
    };
    check_gradients(f, {{"pred", pred.view, Session::values(pred.gradient->view)}});
  }
}
