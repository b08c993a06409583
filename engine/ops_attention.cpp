#include <cmath>

#include "engine/ops_common.h"
#include "kernels/attention.h"

namespace engine {
namespace {

using kernels::Layout;

double scale_of(std::int64_t C, int heads) { return 1 / std::sqrt(static_cast<double>(C / heads)); }

/// Has the kernel make the gradient of the bias of q, k and v; null: not.
void make_bias_gradient(kernels::AttentionBackward& args, const Parameter& bias, std::int64_t C) {
  if (!bias || !bias.trainable()) return;
  args.dbias = bias.gradient({3, C});
  args.bias_mode = bias.take_write_mode();
}

/// What masked_attention keeps: x and its masked rows, and the projections of both.
struct MaskedProjections {
  Tensor x, masked;  // (B, 1 + L, C), (B, M, C)
  Tensor q, kv;      // (B, M, C), (B, 1 + L, 2 C)

  std::int64_t C() const { return x.shape()[2]; }
  View keys(const View& both) const { return columns_of(both, 0, C()); }
  View values(const View& both) const { return columns_of(both, C(), C()); }
};

/// y = x w^T + b for some of the rows of w and b.
void project(Context& c, const Tensor& x, const Projection& qkv, std::int64_t first, const Tensor& y) {
  const std::int64_t rows = y.shape()[2], C = x.shape()[2];
  launch(c.stream, kernels::MatMul{.a = x.view,
                                   .b = rows_of(weight_matrix(qkv.w), first, {rows, C}),
                                   .bias = qkv.b ? columns_of(qkv.b.value(), first, rows) : View{},
                                   .out = y.view,
                                   .b_layout = Layout::transposed});
}

/// The gradients of w and, where attention has not made it, of b.
void projection_gradients(Context& back, const MaskedProjections& p, const Projection& qkv, const View& dq,
                          const View& dkv) {
  const std::int64_t C = p.C();
  if (qkv.w.trainable()) {
    const kernels::Write mode = qkv.w.take_write_mode();
    const View dw = qkv.w.gradient({3 * C, C});
    const auto product = [&](const View& dy, const View& x, const View& out) {
      launch(back.stream, kernels::MatMul{.a = dy, .b = x, .out = out, .a_layout = Layout::transposed, .mode = mode});
    };
    product(dq, p.masked.view, rows_of(dw, 0, {C, C}));
    product(dkv, p.x.view, rows_of(dw, C, {2 * C, C}));
  }
  if (qkv.bias == BiasGradient::elsewhere || !qkv.b || !qkv.b.trainable()) return;
  const kernels::Write mode = qkv.b.take_write_mode();
  const View db = qkv.b.gradient({3 * C});
  launch(back.stream, kernels::ColumnSum{.x = dq, .out = columns_of(db, 0, C), .mode = mode});
  launch(back.stream, kernels::ColumnSum{.x = dkv, .out = columns_of(db, C, 2 * C), .mode = mode});
}

/// dx = or += dkv wkv, and dq wq into the masked rows.
void input_gradient(Context& back, const MaskedProjections& p, const Projection& qkv, const View& dq, const View& dkv,
                    const Masking& masking, std::int64_t keep) {
  if (!tracked(p.x)) return;
  const std::int64_t C = p.C();
  const View w = weight_matrix(qkv.w);
  const GradientTarget dx = gradient_target(back, p.x);
  launch(back.stream, kernels::MatMul{.a = dkv, .b = rows_of(w, C, {2 * C, C}), .out = dx.view, .mode = dx.mode});
  const Tensor dmasked = back.tensor(p.masked.shape());
  launch(back.stream, kernels::MatMul{.a = dq, .b = rows_of(w, 0, {C, C}), .out = dmasked.view});
  launch_masked_return(back, dmasked.view, masking, keep, {dx.view, kernels::Write::accumulate});
}

}  // namespace

Tensor attention(Context& c, const Tensor& qkv, int heads, const Parameter& qkv_bias) {
  const OpScope scope(c.profile, "attention");
  const std::int64_t B = qkv.shape()[0], T = qkv.shape()[1], C = qkv.shape()[2] / 3;
  const double scale = scale_of(C, heads);
  const auto part = [=](const View& v, int i) { return columns_of(v, i * C, C); };  // queries, keys or values
  Tensor out = c.tensor({B, T, C});
  Tensor lse;
  if (c.tape) lse = c.tensor({B, heads, T}, kernels::statistics_of(qkv.dtype()));
  launch(c.stream, kernels::AttentionForward{.q = part(qkv.view, 0),
                                             .k = part(qkv.view, 1),
                                             .v = part(qkv.view, 2),
                                             .out = out.view,
                                             .lse = lse.view,
                                             .heads = heads,
                                             .scale = scale});
  if (!c.tape) return out;
  c.tape->record(c, "attention", out, {qkv, out, lse}, [=](Context& back, Gradient& dy) {
    if (!tracked(qkv)) return;
    const Tensor dqkv = back.like(qkv);
    kernels::AttentionBackward args{.q = part(qkv.view, 0),
                                    .k = part(qkv.view, 1),
                                    .v = part(qkv.view, 2),
                                    .out = out.view,
                                    .lse = lse.view,
                                    .dout = dy.view,
                                    .dq = part(dqkv.view, 0),
                                    .dk = part(dqkv.view, 1),
                                    .dv = part(dqkv.view, 2),
                                    .heads = heads,
                                    .scale = scale};
    make_bias_gradient(args, qkv_bias, C);
    launch(back.stream, args);
    give_gradient(back, qkv, {dqkv.view, dqkv.storage});
  });
  return out;
}

Tensor masked_attention(Context& c, const Tensor& x, const Projection& qkv, int heads, const Masking& masking,
                        std::int64_t keep) {
  const OpScope scope(c.profile, "masked_attention");
  read(c, {qkv.w, qkv.b});
  const std::int64_t B = x.shape()[0], T = x.shape()[1], C = x.shape()[2], M = masking.patches() - keep;
  const double scale = scale_of(C, heads);
  const MaskedProjections p{
      .x = x, .masked = c.tensor({B, M, C}), .q = c.tensor({B, M, C}), .kv = c.tensor({B, T, 2 * C})};
  launch_masked_gather(c, x.view, masking, keep, p.masked.view);
  project(c, p.masked, qkv, 0, p.q);
  project(c, x, qkv, C, p.kv);
  Tensor out = c.tensor({B, M, C});
  Tensor lse;
  if (c.tape) lse = c.tensor({B, heads, M}, kernels::statistics_of(x.dtype()));
  launch(c.stream, kernels::AttentionForward{.q = p.q.view,
                                             .k = p.keys(p.kv.view),
                                             .v = p.values(p.kv.view),
                                             .out = out.view,
                                             .lse = lse.view,
                                             .heads = heads,
                                             .scale = scale});
  if (!c.tape) return out;
  c.tape->record(c, "masked_attention", out, {p.x, p.masked, p.q, p.kv, out, lse, masking.rank, masking.ids},
                 [=](Context& back, Gradient& dy) {
                   const Tensor dq = back.like(p.q), dkv = back.like(p.kv);
                   kernels::AttentionBackward args{.q = p.q.view,
                                                   .k = p.keys(p.kv.view),
                                                   .v = p.values(p.kv.view),
                                                   .out = out.view,
                                                   .lse = lse.view,
                                                   .dout = dy.view,
                                                   .dq = dq.view,
                                                   .dk = p.keys(dkv.view),
                                                   .dv = p.values(dkv.view),
                                                   .heads = heads,
                                                   .scale = scale};
                   if (qkv.bias == BiasGradient::elsewhere) make_bias_gradient(args, qkv.b, C);
                   launch(back.stream, args);
                   projection_gradients(back, p, qkv, dq.view, dkv.view);
                   input_gradient(back, p, qkv, dq.view, dkv.view, masking, keep);
                 });
  return out;
}

}  // namespace engine
