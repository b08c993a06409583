#include "engine/ops_common.h"

namespace engine {

Tensor batchnorm(Context& c, const Tensor& x, const BatchNormState& state, double eps, double momentum,
                 kernels::BatchNormMode mode) {
  const OpScope scope(c.profile, "batchnorm");
  const bool training = mode == kernels::BatchNormMode::training;
  const DType statistics = kernels::statistics_of(x.dtype());
  const Shape columns{x.view.cols()};
  Tensor y = c.like(x);
  Tensor mean, rstd;
  if (c.tape) {
    mean = c.tensor(columns, statistics);
    rstd = c.tensor(columns, statistics);
  }
  launch(c.stream, kernels::BatchNormForward{.x = x.view,
                                             .running_mean = state.running_mean,
                                             .running_var = state.running_var,
                                             .y = y.view,
                                             .mean = mean.view,
                                             .rstd = rstd.view,
                                             .next_mean = training ? state.next_mean : View{},
                                             .next_var = training ? state.next_var : View{},
                                             .eps = eps,
                                             .momentum = momentum,
                                             .mode = mode});
  if (!c.tape) return y;
  c.tape->record(c, "batchnorm", y, {x, mean, rstd}, [x, mean, rstd, mode](Context& back, Gradient& dy) {
    if (!tracked(x)) return;
    const GradientTarget dx = gradient_target(back, x);
    launch(back.stream, kernels::BatchNormBackward{.dy = dy.view,
                                                   .x = x.view,
                                                   .mean = mean.view,
                                                   .rstd = rstd.view,
                                                   .dx = dx.view,
                                                   .dx_mode = dx.mode,
                                                   .mode = mode});
  });
  return y;
}

}  // namespace engine
