#include "kernels/token_merge.h"

namespace kernels {
namespace {

bool is(const View& v, DType dtype, const Shape& shape) { return v.dtype == dtype && v.shape == shape; }
bool is_tokens(const View& v) { return is_floating(v.dtype) && v.shape.rank == 3 && v.shape[1] > 1 && v.cols() > 0; }
bool is_table(const View& v) { return v.dtype == DType::i32 && v.shape.rank == 2 && v.shape.count() > 0; }

}  // namespace

void validate(const TokenMergeForward& a) {
  require(is_tokens(a.x), a, "x must be (B, 1 + K, C) in f64, f32 or bf16, K at least 1");
  const std::int64_t B = a.x.shape[0], K = a.x.shape[1] - 1, C = a.x.cols();
  require(is_table(a.rank) && a.rank.shape[0] == B && a.rank.shape[1] >= K, a,
          "rank must be i32 (B, L) with L at least K");
  const std::int64_t L = a.rank.shape[1];
  require(is(a.table, a.x.dtype, {L, C}), a, "table must be (L, C) in the dtype of x");
  require(is(a.out, a.x.dtype, {B, 1 + L, C}), a, "out must be (B, 1 + L, C) in the dtype of x");
}

void validate(const TokenMergeBackward& a) {
  require(is_tokens(a.dout), a, "dout must be (B, 1 + L, C) in f64, f32 or bf16, L at least 1");
  const std::int64_t B = a.dout.shape[0], L = a.dout.shape[1] - 1, C = a.dout.cols();
  require(is(a.rank, DType::i32, {B, L}), a, "rank must be i32 (B, L)");
  require(is_table(a.ids) && a.ids.shape[0] == B && a.ids.shape[1] <= L, a, "ids must be i32 (B, K) with K at most L");
  require(a.dx || a.dtable, a, "nothing is wanted: dx and dtable are both null");
  require(!a.dx || is(a.dx, a.dout.dtype, {B, 1 + a.ids.shape[1], C}), a,
          "dx must be (B, 1 + K, C) in the dtype of dout");
  require(!a.dtable || is(a.dtable, a.dout.dtype, {L, C}), a, "dtable must be (L, C) in the dtype of dout");
}

Cost cost(const TokenMergeForward& a) { return {.flops = 0, .bytes = field_bytes(a)}; }

// dx is a copy of as many rows of dout, which ids names; the masked rows alone are added up, and rank names them
Cost cost(const TokenMergeBackward& a) {
  const double row = static_cast<double>(a.dout.cols());
  const double masked = static_cast<double>(a.dout.shape[0] * (a.rank.shape[1] - a.ids.shape[1])) * row;
  const double copied = a.dx ? 2 * a.dx.bytes() + a.ids.bytes() : 0;
  if (!a.dtable) return {.flops = 0, .bytes = copied};
  const double summed = masked * static_cast<double>(size_of(a.dout.dtype)) + a.rank.bytes() + a.dtable.bytes();
  return {.flops = masked, .bytes = copied + summed};
}

}  // namespace kernels
