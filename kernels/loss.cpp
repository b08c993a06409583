#include "kernels/loss.h"

namespace kernels {
namespace {

bool is(const View& v, DType dtype, const Shape& shape) { return v.dtype == dtype && v.shape == shape; }

// What both directions share: pred, target, rank, keep, and the statistics of target patches, both or neither.
template <class Args>
void check_inputs(const Args& a) {
  const Shape& s = a.target.shape;
  require(is_floating(a.target.dtype) && s.rank == 3 && s.count() > 0, a,
          "target must be (B, L, P) in f64, f32 or bf16 and not empty");
  require(is(a.pred, a.target.dtype, {s[0], 1 + s[1], s[2]}), a,
          "pred must be (B, 1 + L, P) in the dtype of target: row 0 belongs to the class token");
  require(is(a.rank, DType::i32, {s[0], s[1]}), a, "rank must be i32 (B, L)");
  require(a.keep >= 0 && a.keep <= s[1], a, "keep must be from 0 to L");
  require(bool(a.mean) == bool(a.rstd), a, "mean and rstd go together");
  for (const View& v : {a.mean, a.rstd}) {
    require(!v || is(v, statistics_of(a.target.dtype), {s[0], s[1]}), a,
            "mean and rstd must be (B, L): f64 for f64 data, else f32");
  }
  require(!a.mean || s[2] > 1, a, "a patch of one value has no variance: take raw pixels or larger patches");
}

// values of the masked patches of a batch
template <class Args>
double masked_values(const Args& a) {
  const Shape& s = a.target.shape;
  return static_cast<double>(s[0] * (s[1] - a.keep) * s[2]);
}

}  // namespace

void validate(const MaskedMseForward& a) {
  check_inputs(a);
  require(bool(a.mean) == (a.pixels == PixelTarget::normalized), a,
          "mean and rstd must be given for normalized pixels and null for raw ones");
  require(is(a.loss, statistics_of(a.target.dtype), {1}), a, "loss must be (1): f64 for f64 data, else f32");
}

void validate(const MaskedMseBackward& a) {
  check_inputs(a);
  require(is(a.dpred, a.pred.dtype, a.pred.shape), a, "dpred must have the shape and dtype of pred");
}

// pred is read on masked patches only; so is a raw target, but all patches of a normalized one give statistics
Cost cost(const MaskedMseForward& a) {
  const double masked = masked_values(a), all = static_cast<double>(a.target.shape.count());
  const double read = masked + (a.mean ? all : masked);
  return {.flops = masked * (a.mean ? 5 : 3) + (a.mean ? 4 * all : 0),
          .bytes = read * static_cast<double>(size_of(a.target.dtype)) + a.rank.bytes() + a.mean.bytes() +
                   a.rstd.bytes() + a.loss.bytes() * (a.mode == Write::accumulate ? 2 : 1)};
}

Cost cost(const MaskedMseBackward& a) {
  const double masked = masked_values(a);
  return {.flops = masked * (a.mean ? 4 : 2),
          .bytes = 2 * masked * static_cast<double>(size_of(a.target.dtype)) + a.rank.bytes() + a.mean.bytes() +
                   a.rstd.bytes() + a.dpred.bytes()};
}

}  // namespace kernels
