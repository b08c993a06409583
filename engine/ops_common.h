// What the files of ops share; nobody else includes this.
#pragma once

#include <string>

#include "engine/ops.h"
#include "kernels/core/check.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

namespace engine {

/// The shape of x with another last dimension.
inline Shape with_columns(Shape shape, std::int64_t columns) {
  shape.dims[static_cast<std::size_t>(shape.rank - 1)] = columns;
  return shape;
}

/// `count` elements of a view from element `first` of its rows on, or rows from row `first` on: views of no memory keep
/// none.
inline View columns_of(const View& v, std::int64_t first, std::int64_t count) {
  auto* data = static_cast<std::byte*>(v.data);
  const std::int64_t bytes = first * static_cast<std::int64_t>(kernels::size_of(v.dtype));
  return {data ? data + bytes : nullptr, v.dtype, with_columns(v.shape, count), v.row_stride};
}
inline View rows_of(const View& v, std::int64_t first, const Shape& shape) {
  View rows = columns_of(v, first * v.row_stride, v.cols());
  rows.shape = shape;
  return rows;
}

inline void read(Context& c, std::initializer_list<Parameter> parameters) {
  if (!c.profile) return;
  for (const Parameter& p : parameters) {
    if (p) c.profile->read_parameters(static_cast<double>(p.value().shape.count()));
  }
}

/// A weight of any rank as the matrix (out, in): a patch embedding's (D, C, P, P) is (D, C P P).
inline View weight_matrix(const Parameter& w) {
  const Shape& shape = w.value().shape;
  return w.value({shape[0], shape.count() / shape[0]});
}

/// dw = or += dy^T x
inline void weight_gradient(Context& back, const View& dy, const View& x, const Parameter& w) {
  if (!w.trainable()) return;
  launch(back.stream, kernels::MatMul{.a = dy,
                                      .b = x,
                                      .out = w.gradient(weight_matrix(w).shape),
                                      .a_layout = kernels::Layout::transposed,
                                      .mode = w.take_write_mode()});
}

/// db = or += the column sums of dy, in a pass of its own, unless it has been made elsewhere; a null bias has none.
inline void bias_gradient(Context& back, const View& dy, const Parameter& b, BiasGradient who = BiasGradient::here) {
  if (!b || !b.trainable()) return;
  if (who == BiasGradient::elsewhere) {
    const std::string& name = b.owner->segments()[static_cast<std::size_t>(b.index)].name;
    if (!b.written())
      throw kernels::Error("the gradient of this bias was left to another op, which has not made it", name);
    return;
  }
  launch(back.stream, kernels::ColumnSum{.x = dy, .out = b.gradient({dy.cols()}), .mode = b.take_write_mode()});
}

/// out (B, L - keep, C) = the masked rows of x (B, 1 + L, C).
inline void launch_masked_gather(Context& c, const View& x, const Masking& masking, std::int64_t keep,
                                 const View& out) {
  launch(c.stream, kernels::TokenGatherForward{.x = x, .ids = masking.masked(keep), .out = out, .class_tokens = 1});
}

/// The masked rows of out (B, 1 + L, C) = or += x (B, L - keep, C); overwriting, all others = 0.
inline void launch_masked_return(Context& c, const View& x, const Masking& masking, std::int64_t keep,
                                 const GradientTarget& out) {
  launch(c.stream, kernels::TokenGatherBackward{.dout = x,
                                                .rank = masking.rank.view,
                                                .dx = out.view,
                                                .dx_mode = out.mode,
                                                .class_tokens = 1,
                                                .first_rank = static_cast<int>(keep)});
}

}  // namespace engine
