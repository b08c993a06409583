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

TEST_CASE("batchnorm, in training and in evaluation, whose input is used twice") {
  for (const auto mode : {kernels::BatchNormMode::training, kernels::BatchNormMode::evaluation}) {
    OpCheck check;
    const Tensor mean = check.session().variable({7}, normals(7, 50)),
                 var = check.session().variable({7}, {0.3, 1, 2, 0.7, 1.1, 3, 0.9}),
                 next_mean = check.session().variable({7}, normals(7, 51)),
                 next_var = check.session().variable({7}, normals(7, 52));
    const BatchNormState state{mean.view, var.view, next_mean.view, next_var.view};
    const auto op = [&](Context& c, const std::vector<Tensor>& x) {
      const Tensor y = batchnorm(c, x[0], state, 1e-6, 0.1, mode);
      return batchnorm(c, gelu(c, y), state, 1e-6, 0.1, mode);
    };
    check.run({{6, 7}}, op);
    CHECK((Session::values(mean.view) == normals(7, 50)));
    const bool moved = Session::values(next_mean.view) != normals(7, 51);
    CHECK(moved == (mode == kernels::BatchNormMode::training));
    OpCheck twice;
    const Parameter w = twice.parameter({"w", {7, 7}});
    twice.run({{6, 7}}, [&](Context& c, const std::vector<Tensor>& x) {
      return linear(c, batchnorm(c, x[0], state, 1e-6, 0.1, mode), w, {}, x[0]);
    });
  }
}

TEST_CASE("batchnorm is PyTorch's, with statistics of its own for the next step") {
  Session session;
  constexpr std::size_t B = 9, C = 5;
  const Tensor x = session.variable({B, C}, normals(B * C, 1, 3)), running_mean = session.variable({C}, normals(C, 2)),
               running_var = session.variable({C}, {0.3, 1, 2, 0.7, 1.1}),
               next_mean = session.variable({C}, normals(C, 3)), next_var = session.variable({C}, normals(C, 4));
  Context context = session.context();
  const Tensor y = batchnorm(context, x, {running_mean.view, running_var.view, next_mean.view, next_var.view}, 1e-5,
                             0.1, kernels::BatchNormMode::training);
  for (std::size_t c = 0; c < C; ++c) {
    double mean = 0, squares = 0;
    for (std::size_t b = 0; b < B; ++b) mean += Session::get(x.view, b * C + c) / B;
    for (std::size_t b = 0; b < B; ++b) squares += std::pow(Session::get(x.view, b * C + c) - mean, 2);
    for (std::size_t b = 0; b < B; ++b) {
      CHECK(Session::get(y.view, b * C + c) ==
            Approx((Session::get(x.view, b * C + c) - mean) / std::sqrt(squares / B + 1e-5)).epsilon(1e-12));
    }
    CHECK(Session::get(next_mean.view, c) ==
          Approx(0.9 * Session::get(running_mean.view, c) + 0.1 * mean).epsilon(1e-12));
    CHECK(Session::get(next_var.view, c) ==
          Approx(0.9 * Session::get(running_var.view, c) + 0.1 * squares / (B - 1)).epsilon(1e-12));
  }
}

TEST_CASE("gelu") {
  OpCheck check;
  check.run({{6, 11}}, [](Context& c, const std::vector<Tensor>& x) { return gelu(c, x[0]); });
}

TEST_CASE("attention") {
  OpCheck check;
  check.run({{2, 5, 3 * 2 * 4}}, [](Context& c, const std::vector<Tensor>& x) { return attention(c, x[0], 2); });
}

TEST_CASE("biases whose gradients other ops make: of queries, keys and values, and of what a layernorm is given") {
  OpCheck check;
  const Parameter w = check.parameter({"qkv.w", {24, 8}}), b = check.parameter({"qkv.b", {24}}),
                  w2 = check.parameter({"proj.w", {8, 8}}), b2 = check.parameter({"proj.b", {8}}),
                  gamma = check.parameter({"gamma", {8}, 1}), beta = check.parameter({"beta", {8}});
  constexpr auto elsewhere = BiasGradient::elsewhere;
  check.run({{2, 5, 8}}, [&](Context& c, const std::vector<Tensor>& x) {
    const Tensor attended = attention(c, linear(c, x[0], w, b, {}, elsewhere), 2, b);
    const Tensor y = linear(c, attended, w2, b2, x[0], elsewhere);
    return linear(c, layernorm(c, y, gamma, beta, 1e-6, b2), w2, {}, y);  // y twice: norm first
  });
}

TEST_CASE("mlp, with GELU stored and recomputed, biases here and elsewhere") {
  for (const auto gelu : {GeluOutput::stored, GeluOutput::recomputed}) {
    for (const auto bias : {BiasGradient::here, BiasGradient::elsewhere}) {
      OpCheck check;
      const Mlp layers{.w1 = check.parameter({"w1", {9, 5}}),
                       .b1 = check.parameter({"b1", {9}}),
                       .w2 = check.parameter({"w2", {5, 9}}),
                       .b2 = check.parameter({"b2", {5}})};
      check.run({{2, 3, 5}, {2, 3, 5}}, [&](Context& c, const std::vector<Tensor>& x) {
        return mlp(c, x[0], layers, x[1], {.gelu = gelu, .b1 = bias});
      });
    }
  }
}

TEST_CASE("masked_attention") {
  for (const auto bias : {BiasGradient::here, BiasGradient::elsewhere}) {
    OpCheck check;
    const Projection qkv{.w = check.parameter({"w", {24, 8}}), .b = check.parameter({"b", {24}}), .bias = bias};
    const Masking masking = some_masking(check.session(), 3, 6);
    check.run({{3, 7, 8}},
              [&](Context& c, const std::vector<Tensor>& x) { return masked_attention(c, x[0], qkv, 2, masking, 2); });
  }
}

TEST_CASE("masked_gather and masked_return") {
  OpCheck gather, back;
  const Masking masking = some_masking(gather.session(), 3, 8), same = some_masking(back.session(), 3, 8);
  gather.run({{3, 9, 4}}, [&](Context& c, const std::vector<Tensor>& x) { return masked_gather(c, x[0], masking, 3); });
  back.run({{3, 5, 4}}, [&](Context& c, const std::vector<Tensor>& x) { return masked_return(c, x[0], same, 3); });
}

TEST_CASE("distinct_tokens and merge_tokens, which together are token_scatter") {
  OpCheck check;
  const Parameter token = check.parameter({"mask_token", {1, 1, 4}}),
                  positions = check.parameter({"positions", {1, 9, 4}}), w = check.parameter({"w", {4, 4}});
  const Masking masking = some_masking(check.session(), 3, 8);
  const auto both = [&](Context& c, const Tensor& x) {
    return std::pair(merge_tokens(c, distinct_tokens(c, x, token, positions, masking), masking),
                     token_scatter(c, x, token, positions, masking));
  };
  check.run({{3, 3, 4}}, [&](Context& c, const std::vector<Tensor>& x) {
    const Tensor rows = distinct_tokens(c, x[0], token, positions, masking);
    return linear(c, merge_tokens(c, gelu(c, rows), masking), w, {}, merge_tokens(c, rows, masking));
  });
  Context context = check.session().context();
  const auto [merged, scattered] = both(context, check.session().variable({3, 3, 4}, normals(36, 5)));
  CHECK((Session::values(merged.view) == Session::values(scattered.view)));
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

TEST_CASE("pixel_loss, raw and normalised") {
  for (const auto pixels : {kernels::PixelTarget::raw, kernels::PixelTarget::normalized}) {
    Session session;
    const Masking masking = some_masking(session, 2, 6);
    const Tensor images = session.variable({2, 4, 6, 2}, normals(96, 2)), scale = session.variable({2}, {1.5, 0.5}),
                 shift = session.variable({2}, {0.1, -0.2});
    const Tensor pred = session.variable({2, 4, 8}, normals(64, 1)), loss = session.variable({1}, {0});
    const PixelTargets targets{.images = images.view, .scale = scale.view, .shift = shift.view, .patch = 2};
    const MseOptions options{.keep = 2, .scale = 1.0 / 64, .pixels = pixels};
    Tape tape;
    Context taped = session.context(&tape), plain = session.context();
    tape.backward(taped, pixel_loss(taped, pred, targets, masking, loss.view, options));
    const auto f = [&] {
      pixel_loss(plain, pred, targets, masking, loss.view, options);
      return Session::get(loss.view, 0);
    };
    check_gradients(f, {{"pred", pred.view, Session::values(pred.gradient->view)}});
  }
}
