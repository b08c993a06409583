// The ops and layers that a classifier needs beside those of pretraining, against finite differences in f64.
#include "engine/layers.h"
#include "tests/support/op_check.h"

using namespace test;

namespace {

using kernels::Pooling;

/// The layers of a block of 6 channels and 2 heads, with the check's parameters.
struct BlockParts {
  OpCheck& check;
  std::string name;

  LayerNorm norm(const std::string& of) const {
    return {.weight = check.parameter({name + of + ".w", {6}, 1}), .bias = check.parameter({name + of, {6}})};
  }
  Linear layer(const std::string& of, std::int64_t in, std::int64_t out) const {
    return {.weight = check.parameter({name + of + ".w", {out, in}}), .bias = check.parameter({name + of, {out}})};
  }
  Block block(const Fusion& fusion) const {
    return {.norm1 = norm(".norm1"),
            .qkv = layer(".qkv", 6, 18),
            .proj = layer(".proj", 6, 6),
            .norm2 = norm(".norm2"),
            .fc1 = layer(".fc1", 6, 7),
            .fc2 = layer(".fc2", 7, 6),
            .heads = 2,
            .fusion = fusion,
            .norm_follows = true};
  }
};

constexpr Fusion fusions[] = {{}, {.mlp = false}, {.bias = false}, {.mlp = false, .bias = false}};

}  // namespace

TEST_CASE("token_pool") {
  OpCheck check;
  const Parameter w = check.parameter({"w", {4, 4}});
  check.run({{3, 6, 4}}, [&](Context& c, const std::vector<Tensor>& x) {  // x twice: the second gradient is added
    return linear(c, token_pool(c, x[0], Pooling::mean), w, {}, token_pool(c, x[0], Pooling::cls));
  });
}

TEST_CASE("drop_path") {
  OpCheck check;
  const Tensor keep = check.session().variable({4, 2}, {0, 1, 1, 0, 0, 1, 1, 0}, DType::i32);
  const DropPath drop{.keep = keep.view, .scale = 1.25};
  check.run({{4, 3, 5}, {4, 3, 5}}, [&](Context& c, const std::vector<Tensor>& x) {
    const Tensor y = drop_path(c, x[0], x[1], drop.column(1), drop.scale);
    return drop_path(c, y, gelu(c, y), drop.column(0), drop.scale);  // y twice: its gradient goes on, and is added to
  });
}

TEST_CASE("mlp without a residual") {
  OpCheck check;
  const Mlp layers{.w1 = check.parameter({"w1", {9, 5}}),
                   .b1 = check.parameter({"b1", {9}}),
                   .w2 = check.parameter({"w2", {4, 9}}),
                   .b2 = check.parameter({"b2", {4}})};
  check.run({{2, 3, 5}}, [&](Context& c, const std::vector<Tensor>& x) { return mlp(c, x[0], layers, {}, {}); });
}

TEST_CASE("blocks that drop paths, blocks that do not, and the norms behind them") {
  for (const Fusion& fusion : fusions) {
    for (const int dropping : {0, 1, 2, 3}) {  // bit i: block i drops paths
      INFO("fusion of mlp " << fusion.mlp << ", of biases " << fusion.bias << ", dropping " << dropping);
      OpCheck check;
      const Block first = BlockParts{check, "first"}.block(fusion), second = BlockParts{check, "second"}.block(fusion);
      const Parameter gamma = check.parameter({"gamma", {6}, 1}), beta = check.parameter({"beta", {6}});
      const Tensor keep = check.session().variable({3, 2}, {1, 0, 0, 1, 1, 1}, DType::i32);
      const DropPath some{.keep = keep.view, .scale = 1.25}, none;
      const DropPath &drop1 = dropping & 1 ? some : none, &drop2 = dropping & 2 ? some : none;
      CHECK(bool(first.last_bias(drop1)) == (fusion.bias && !(dropping & 1)));
      check.run(
          {{3, 4, 6}},
          [&](Context& c, const std::vector<Tensor>& x) {
            const Tensor middle = first(c, x[0], {}, drop1);
            const Tensor y = second(c, middle, first.last_bias(drop1), drop2);
            return layernorm(c, y, gamma, beta, 1e-6, second.last_bias(drop2));
          },
          2e-4);  // two blocks of weights N(0, 1) are far from straight
    }
  }
}

TEST_CASE("a block leaves out what keep says: column 0 the attention, column 1 the MLP") {
  Session session;
  Parameters parameters(DType::f64);
  const Block block = add_block(parameters, "block", {.dim = 6, .hidden = 7, .heads = 2});
  parameters.reserve(session.stream, Purpose::inference);
  const std::vector<double> draw = normals(parameters.flat_size(), 3);
  for (std::size_t i = 0; i < draw.size(); ++i) Session::set(parameters.master(), i, draw[i]);
  const Tensor x = session.variable({4, 3, 6}, normals(72, 1)),
               keep = session.variable({4, 2}, {0, 0, 1, 0, 0, 1, 1, 1}, DType::i32);
  const DropPath drop{.keep = keep.view};
  Context c = session.context();
  const auto half = Session::values(block.attention_half(c, x).view), whole = Session::values(block(c, x).view),
             mlp = Session::values(block.mlp_half(c, x).view), given = Session::values(x.view),
             dropped = Session::values(block(c, x, {}, drop).view);
  const auto sample = [&](std::size_t i, const std::vector<double>& expected) {
    for (std::size_t k = 18 * i; k < 18 * (i + 1); ++k) CHECK(dropped[k] == Approx(expected[k]).epsilon(1e-12));
  };
  sample(0, given), sample(1, half), sample(2, mlp), sample(3, whole);
  CHECK(distance(half, mlp) > 0.1);
}

TEST_CASE("the MLP half of a block is trained alone, behind an attention half that has no tape") {
  for (const Fusion& fusion : fusions) {
    OpCheck check;
    Parameters parameters(DType::f64);
    Block block = add_block(parameters, "frozen", {.dim = 6, .hidden = 7, .heads = 2}, fusion);
    parameters.reserve(check.session().stream, Purpose::training);
    const View values = parameters.master();
    const std::vector<double> draw = normals(values.shape.count(), 3);
    for (std::size_t i = 0; i < draw.size(); ++i) Session::set(values, i, draw[i]);
    parameters.begin_gradients();
    const BlockParts trained{check, "trained"};
    block.norm2 = trained.norm(".norm2"), block.fc1 = trained.layer(".fc1", 6, 7),
    block.fc2 = trained.layer(".fc2", 7, 6);
    const Parameter w = check.parameter({"w", {6, 6}});
    const Tensor input = check.session().variable({2, 4, 6}, normals(48, 5));
    check.run({{2, 4, 6}}, [&](Context& c, const std::vector<Tensor>& x) {
      Context untaped = c;
      untaped.tape = nullptr;
      return linear(c, block.mlp_half(c, block.attention_half(untaped, input)), w, {}, x[0]);
    });
    CHECK(!*input.gradient);
    CHECK(!block.proj.bias.written());
    CHECK(!block.qkv.weight.written());
  }
}

namespace {

/// A loss of logits in two micro-batches of two samples, which add up: loss(context, logits, first sample, mode).
template <class Loss>
void check_loss(Session& session, const View& slot, std::int64_t K, Loss loss) {
  const Tensor first = session.variable({2, K}, normals(2 * K, 1)),
               second = session.variable({2, K}, normals(2 * K, 2));
  const auto both = [&](Context& c, auto after) {
    after(loss(c, first, 0, kernels::Write::overwrite));
    after(loss(c, second, 2, kernels::Write::accumulate));
  };
  Tape tape;
  Context taped = session.context(&tape), plain = session.context();
  both(taped, [&](const Tensor& result) { tape.backward(taped, result); });
  CHECK(tape.empty());
  const auto f = [&] {
    both(plain, [](const Tensor&) {});
    return Session::get(slot, 0);
  };
  tape.backward(taped, loss(taped, first, 0, kernels::Write::overwrite));  // a second time: added to the first
  for (double& g : Session::values(first.gradient->view)) CHECK(g != 0);
  const std::vector<double> twice = Session::values(first.gradient->view);
  *first.gradient = {};
  tape.backward(taped, loss(taped, first, 0, kernels::Write::overwrite));
  const std::vector<double> once = Session::values(first.gradient->view);
  for (std::size_t i = 0; i < once.size(); ++i) CHECK(twice[i] == 2 * once[i]);
  check_gradients(f, {{"first", first.view, once}, {"second", second.view, Session::values(second.gradient->view)}});
}

/// Rows of a table from `first` on.
View rows_from(const Tensor& table, std::int64_t first, std::int64_t rows) {
  View v = table.view;
  v.data = static_cast<std::byte*>(v.data) + first * v.row_stride * std::int64_t(kernels::size_of(v.dtype));
  v.shape.dims[0] = rows;
  return v;
}

}  // namespace

TEST_CASE("cross_entropy, smoothed and weighted, of two micro-batches") {
  Session session;
  const Tensor labels = session.variable({4, 2}, {1, 3, 2, 2, 0, 1, 4, 0}, DType::i32),
               lambda = session.variable({4, 1}, {0.3, 0.9, 1, 0.5}), weight = session.variable({5}, {1, 2, 0.5, 3, 1}),
               slot = session.variable({1}, {0});
  check_loss(session, slot.view, 5, [&](Context& c, const Tensor& logits, std::int64_t b, kernels::Write mode) {
    View share = rows_from(lambda, b, 2);
    share.shape = {2};
    const ClassTargets targets{
        .labels = rows_from(labels, b, 2), .lambda = share, .class_weight = weight.view, .smoothing = 0.1};
    return cross_entropy(c, logits, targets, slot.view, 0.25, mode);
  });
}

TEST_CASE("the losses of known numbers") {
  Session session;
  Context c = session.context();
  const Tensor logits = session.variable({1, 5}, {1, 0, 0, 0, 0}), lambda = session.variable({1}, {1}),
               labels = session.variable({1, 2}, {0, 0}, DType::i32), slot = session.variable({1}, {2}),
               targets = session.variable({1, 5}, {1, 0, -1, -1, -1}, DType::i32);
  cross_entropy(c, logits, {.labels = labels.view, .lambda = lambda.view, .smoothing = 0.1}, slot.view, 0.5,
                kernels::Write::accumulate);
  CHECK(Session::get(slot.view, 0) == Approx(2 + 0.5 * (std::log(std::exp(1) + 4) - (0.9 + 0.1 / 5))));
  binary_cross_entropy(c, logits, {.targets = targets.view}, slot.view, 3, kernels::Write::overwrite);
  CHECK(Session::get(slot.view, 0) == Approx(3 * (std::log(1 + std::exp(-1)) + std::log(2))));
}

TEST_CASE("binary_cross_entropy of two micro-batches") {
  Session session;
  const Tensor targets = session.variable({4, 3}, {1, 0, 1, 0, 0, 1, 1, 1, -1, -1, 0, 1}, DType::i32),
               weight = session.variable({3}, {1, 0.5, 2}), slot = session.variable({1}, {0});
  check_loss(session, slot.view, 3, [&](Context& c, const Tensor& logits, std::int64_t b, kernels::Write mode) {
    return binary_cross_entropy(c, logits, {.targets = rows_from(targets, b, 2), .weight = weight.view}, slot.view,
                                1.0 / 12, mode);
  });
}
