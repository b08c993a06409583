#include "kernels/drop_path.h"

namespace kernels {
namespace {

bool is(const View& v, DType dtype, const Shape& shape) { return v.dtype == dtype && v.shape == shape; }

template <class Args>
void check_keep(const Args& a, const View& tokens) {
  require(is_floating(tokens.dtype) && tokens.shape.rank == 3 && tokens.shape.count() > 0, a,
          "the residual stream must be (B, T, C) in f64, f32 or bf16 and not empty");
  require(is(a.keep, DType::i32, {tokens.shape[0], 1}), a, "keep must be i32 (B, 1): a column of a table may be it");
}

}  // namespace

void validate(const DropPathForward& a) {
  check_keep(a, a.x);
  require(is(a.branch, a.x.dtype, a.x.shape) && is(a.out, a.x.dtype, a.x.shape), a,
          "branch and out must have the shape and dtype of x");
}

void validate(const DropPathBackward& a) {
  check_keep(a, a.dout);
  require(is(a.dbranch, a.dout.dtype, a.dout.shape), a, "dbranch must have the shape and dtype of dout");
}

// as if every sample were kept: how many are is known on the device alone
Cost cost(const DropPathForward& a) {
  return {.flops = 2 * static_cast<double>(a.x.shape.count()), .bytes = field_bytes(a)};
}
Cost cost(const DropPathBackward& a) {
  return {.flops = static_cast<double>(a.dout.shape.count()), .bytes = field_bytes(a)};
}

}  // namespace kernels
