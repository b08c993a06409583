#include "engine/ops_common.h"
#include "kernels/activation.h"

namespace engine {

using kernels::Activation;

Tensor mlp(Context& c, const Tensor& x, const Mlp& m, const Tensor& residual, const MlpOptions& o) {
  const OpScope scope(c.profile, "mlp");
  read(c, {m.w1, m.b1, m.w2, m.b2});
  const View w1 = weight_matrix(m.w1), w2 = weight_matrix(m.w2);
  const Shape hidden = with_columns(x.shape(), w1.shape[0]);
  Tensor h = c.tensor(hidden), y = c.tensor(with_columns(x.shape(), w2.shape[0])), pre;
  if (c.tape) pre = c.tensor(hidden);
  launch(c.stream, kernels::MatMul{.a = x.view,
                                   .b = w1,
                                   .bias = m.b1.value(),
                                   .out = h.view,
                                   .pre = pre.view,
                                   .b_layout = kernels::Layout::transposed,
                                   .activation = Activation::gelu});
  launch(c.stream, kernels::MatMul{.a = h.view,
                                   .b = w2,
                                   .bias = m.b2.value(),
                                   .residual = residual.view,
                                   .out = y.view,
                                   .b_layout = kernels::Layout::transposed});
  if (!c.tape) return y;
  if (o.gelu == GeluOutput::recomputed) h = {};
  c.tape->record(c, "mlp", y, {x, pre, h},
                 [=, kept = h, residual = gradient_only(residual)](Context& back, Gradient& dy) {
                   {
                     Tensor again = kept;
                     if (!again) {
                       again = back.tensor(hidden);
                       launch(back.stream, kernels::GeluForward{.x = pre.view, .y = again.view});
                     }
                     weight_gradient(back, dy.view, again.view, m.w2);
                   }
                   bias_gradient(back, dy.view, m.b2, o.b2);
                   const Tensor dpre = back.tensor(hidden);
                   kernels::MatMul through{.a = dy.view,
                                           .b = weight_matrix(m.w2),
                                           .out = dpre.view,
                                           .pre = pre.view,
                                           .activation = Activation::gelu_backward};
                   if (o.b1 == BiasGradient::elsewhere && m.b1.trainable()) {
                     through.column_sum = m.b1.gradient({hidden[-1]});
                     through.sum_mode = m.b1.take_write_mode();
                   }
                   launch(back.stream, through);
                   if (o.b1 == BiasGradient::here) bias_gradient(back, dpre.view, m.b1);
                   weight_gradient(back, dpre.view, x.view, m.w1);
                   if (tracked(x)) {
                     const GradientTarget dx = gradient_target(back, x);
                     launch(back.stream,
                            kernels::MatMul{.a = dpre.view, .b = weight_matrix(m.w1), .out = dx.view, .mode = dx.mode});
                   }
                   if (residual) give_gradient(back, residual, std::move(dy));
                 });
  return y;
}

}  // namespace engine
