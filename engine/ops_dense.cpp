#include "engine/ops.h"

#include <cmath>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

namespace engine {
namespace {

using kernels::Layout;

/// The shape of x with another last dimension.
Shape with_columns(Shape shape, std::int64_t columns) {
  shape.dims[static_cast<std::size_t>(shape.rank - 1)] = columns;
  return shape;
}

void read(Context& c, std::initializer_list<Parameter> parameters) {
  if (!c.profile) return;
  for (const Parameter& p : parameters) {
    if (p) c.profile->read_parameters(static_cast<double>(p.value().shape.count()));
  }
}

/// A weight of any rank as the matrix (out, in): a patch embedding's (D, C, P, P) is (D, C P P).
View weight_matrix(const Parameter& w) {
  const Shape& shape = w.value().shape;
  return w.value({shape[0], shape.count() / shape[0]});
}

}  // namespace

Tensor linear(Context& c, const Tensor& x, const Parameter& w, const Parameter& b, const Tensor& residual) {
  const OpScope scope(c.profile, "linear");
  read(c, {w, b});
  const View weight = weight_matrix(w);
  Tensor y = c.tensor(with_columns(x.shape(), weight.shape[0]));
  launch(c.stream, kernels::MatMul{.a = x.view,
                                   .b = weight,
                                   .bias = b ? b.value() : View{},
                                   .residual = residual.view,
                                   .out = y.view,
                                   .b_layout = Layout::transposed});
  if (!c.tape) return y;
  c.tape->record(c, "linear", y, {x}, [x, w, b, residual = gradient_only(residual)](Context& back, Gradient& dy) {
    const View matrix = weight_matrix(w);
    if (w.trainable()) {
      launch(back.stream, kernels::MatMul{.a = dy.view,
                                          .b = x.view,
                                          .out = w.gradient(matrix.shape),
                                          .a_layout = Layout::transposed,
                                          .mode = w.take_write_mode()});
    }
    if (b && b.trainable()) {
      launch(back.stream,
             kernels::ColumnSum{.x = dy.view, .out = b.gradient({matrix.shape[0]}), .mode = b.take_write_mode()});
    }
    if (tracked(x)) {
      const GradientTarget dx = gradient_target(back, x);
      launch(back.stream, kernels::MatMul{.a = dy.view, .b = matrix, .out = dx.view, .mode = dx.mode});
    }
    if (residual) give_gradient(back, residual, std::move(dy));
  });
  return y;
}

Tensor layernorm(Context& c, const Tensor& x, const Parameter& gamma, const Parameter& beta, double eps) {
  const OpScope scope(c.profile, "layernorm");
  read(c, {gamma, beta});
  const DType statistics = kernels::statistics_of(x.dtype());
  Tensor y = c.like(x);
  Tensor mean, rstd;
  if (c.tape) {
    mean = c.tensor({x.view.rows()}, statistics);
    rstd = c.tensor({x.view.rows()}, statistics);
  }
  launch(c.stream, kernels::LayerNormForward{.x = x.view,
                                             .gamma = gamma.value(),
                                             .beta = beta.value(),
                                             .y = y.view,
                                             .mean = mean.view,
                                             .rstd = rstd.view,
                                             .eps = eps});
  if (!c.tape) return y;
  c.tape->record(c, "layernorm", y, {x, mean, rstd}, [x, gamma, beta, mean, rstd](Context& back, Gradient& dy) {
    const Shape columns{x.view.cols()};
    kernels::LayerNormBackward args{
        .dy = dy.view, .x = x.view, .gamma = gamma.value(), .mean = mean.view, .rstd = rstd.view};
    if (tracked(x)) {
      const GradientTarget dx = gradient_target(back, x);
      args.dx = dx.view;
      args.dx_mode = dx.mode;
    }
    if (gamma.trainable()) {
      args.dgamma = gamma.gradient(columns);
      args.dbeta = beta.gradient(columns);
      args.parameter_mode = gamma.take_write_mode();
      beta.take_write_mode();
    }
    if (args.dx || args.dgamma) launch(back.stream, args);
  });
  return y;
}

Tensor attention(Context& c, const Tensor& qkv, int heads) {
  const OpScope scope(c.profile, "attention");
  const std::int64_t B = qkv.shape()[0], T = qkv.shape()[1], C = qkv.shape()[2] / 3, D = C / heads;
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  const auto packed = [=](const View& v) { return kernels::view_of(v.data, v.dtype, {B, T, 3, heads, D}); };
  const auto split = [=](const View& v) { return kernels::view_of(v.data, v.dtype, {B, T, heads, D}); };
  Tensor out = c.tensor({B, T, C});
  Tensor lse;
  if (c.tape) lse = c.tensor({B, heads, T}, kernels::statistics_of(qkv.dtype()));
  launch(c.stream,
         kernels::AttentionForward{.qkv = packed(qkv.view), .out = split(out.view), .lse = lse.view, .scale = scale});
  if (!c.tape) return out;
  c.tape->record(c, "attention", out, {qkv, out, lse}, [=](Context& back, Gradient& dy) {
    if (!tracked(qkv)) return;
    const Tensor dqkv = back.like(qkv);
    launch(back.stream, kernels::AttentionBackward{.qkv = packed(qkv.view),
                                                   .out = split(out.view),
                                                   .lse = lse.view,
                                                   .dout = split(dy.view),
                                                   .dqkv = packed(dqkv.view),
                                                   .scale = scale});
    give_gradient(back, qkv, {dqkv.view, dqkv.storage});
  });
  return out;
}

Tensor gelu(Context& c, const Tensor& x) {
  const OpScope scope(c.profile, "gelu");
  Tensor y = c.like(x);
  launch(c.stream, kernels::GeluForward{.x = x.view, .y = y.view});
  if (!c.tape) return y;
  c.tape->record(c, "gelu", y, {x}, [x](Context& back, Gradient& dy) {
    if (!tracked(x)) return;
    const Tensor dx = back.like(x);
    launch(back.stream, kernels::GeluBackward{.dy = dy.view, .x = x.view, .dx = dx.view});
    give_gradient(back, x, {dx.view, dx.storage});
  });
  return y;
}

}  // namespace engine
