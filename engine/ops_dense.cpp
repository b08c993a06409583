#include "engine/ops_common.h"

#include "kernels/activation.h"
#include "kernels/drop_path.h"
#include "kernels/layernorm.h"

namespace engine {

using kernels::Layout;

Tensor linear(Context& c, const Tensor& x, const Parameter& w, const Parameter& b, const Tensor& residual,
              BiasGradient bias) {
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
  c.tape->record(c, "linear", y, {x}, [x, w, b, bias, residual = gradient_only(residual)](Context& back, Gradient& dy) {
    const View matrix = weight_matrix(w);
    weight_gradient(back, dy.view, x.view, w);
    bias_gradient(back, dy.view, b, bias);
    if (tracked(x)) {
      const GradientTarget dx = gradient_target(back, x);
      launch(back.stream, kernels::MatMul{.a = dy.view, .b = matrix, .out = dx.view, .mode = dx.mode});
    }
    if (residual) give_gradient(back, residual, std::move(dy));
  });
  return y;
}

Tensor layernorm(Context& c, const Tensor& x, const Parameter& gamma, const Parameter& beta, double eps,
                 const Parameter& bias_of_x) {
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
  c.tape->record(c, "layernorm", y, {x, mean, rstd},
                 [x, gamma, beta, mean, rstd, bias_of_x](Context& back, Gradient& dy) {
                   const Shape columns{x.view.cols()};
                   kernels::LayerNormBackward args{
                       .dy = dy.view, .x = x.view, .gamma = gamma.value(), .mean = mean.view, .rstd = rstd.view};
                   if (tracked(x)) {
                     const GradientTarget dx = gradient_target(back, x);
                     args.dx = dx.view;
                     args.dx_mode = dx.mode;
                     if (bias_of_x && bias_of_x.trainable()) {
                       args.dx_sum = bias_of_x.gradient(columns);
                       args.sum_mode = bias_of_x.take_write_mode();
                     }
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

Tensor drop_path(Context& c, const Tensor& x, const Tensor& branch, const View& keep, double scale) {
  const OpScope scope(c.profile, "drop_path");
  Tensor y = c.like(x);
  launch(c.stream,
         kernels::DropPathForward{.x = x.view, .branch = branch.view, .keep = keep, .out = y.view, .scale = scale});
  if (!c.tape) return y;
  c.tape->record(c, "drop_path", y, {},
                 [x = gradient_only(x), branch = gradient_only(branch), keep, scale](Context& back, Gradient& dy) {
                   if (tracked(branch)) {
                     const Tensor dbranch = back.like(branch);
                     launch(back.stream, kernels::DropPathBackward{
                                             .dout = dy.view, .keep = keep, .dbranch = dbranch.view, .scale = scale});
                     give_gradient(back, branch, {dbranch.view, dbranch.storage});
                   }
                   give_gradient(back, x, std::move(dy));
                 });
  return y;
}

}  // namespace engine
