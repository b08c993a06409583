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

void validate(const PixelLoss& a) {
  const Shape &s = a.images.shape, &p = a.pred.shape;
  const std::int64_t P = a.patch;
  require(s.rank == 4 && s.count() > 0 && is_pixel(a.images.dtype), a,
          "images must be (B, height, width, C) in u8, u16, f32 or f64 and not empty");
  require(P > 0 && s[1] % P == 0 && s[2] % P == 0, a, "the patch side P must divide the height and width of images");
  require(is_floating(a.pred.dtype) && p.rank == 3 && p.count() > 0 && p[0] == s[0] && p[2] == P * P * s[3] &&
              p[1] <= (s[1] / P) * (s[2] / P),
          a, "pred must be (B, M, P P C) in f64, f32 or bf16, with M at most (height / P) (width / P)");
  const DType statistics = statistics_of(a.pred.dtype);
  for (const View& v : {a.scale, a.shift})
    require(is(v, statistics, {s[3]}), a, "scale and shift must be (C): f64 for f64 predictions, else f32");
  require(is(a.ids, DType::i32, {p[0], p[1]}), a, "ids must be i32 (B, M)");
  require(is(a.loss, statistics, {1}), a, "loss must be (1): f64 for f64 predictions, else f32");
  require(!a.dpred || is(a.dpred, a.pred.dtype, p), a, "dpred must have the shape and dtype of pred");
  require(a.pixels == PixelTarget::raw || p[2] > 1, a,
          "a patch of one value has no variance: take raw pixels or larger patches");
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

// of the images, only the pixels of the patches in ids are read
Cost cost(const PixelLoss& a) {
  const bool normalized = a.pixels == PixelTarget::normalized;
  const double values = static_cast<double>(a.pred.shape.count());
  return {.flops = values * ((normalized ? 11 : 5) + (a.dpred ? 1 : 0)),
          .bytes = field_bytes(a) - a.images.bytes() + values * static_cast<double>(size_of(a.images.dtype))};
}

}  // namespace kernels
