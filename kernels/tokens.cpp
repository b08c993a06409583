#include "kernels/tokens.h"

namespace kernels {
namespace {

bool is(const View& v, DType dtype, const Shape& shape) { return v.dtype == dtype && v.shape == shape; }
bool is_null_or(const View& v, DType dtype, const Shape& shape) { return !v || is(v, dtype, shape); }
bool is_tokens(const View& v) { return is_floating(v.dtype) && v.shape.rank == 3 && v.shape.count() > 0; }
bool is_table(const View& v) { return v.dtype == DType::i32 && v.shape.rank == 2 && v.shape.count() > 0; }

// What patchify and unpatchify share: images (B, height, width, C) against patches (B, L, P P C), or (B, K, P P C) with
// K ids of patches.
template <class Args>
void check_cut(const Args& a, const View& ids) {
  const Shape& s = a.images.shape;
  const std::int64_t P = a.patch;
  require(s.rank == 4 && s.count() > 0, a, "images must be (B, height, width, C) and not empty");
  require(P > 0 && s[1] % P == 0 && s[2] % P == 0, a, "the patch side P must divide the height and width of images");
  const std::int64_t L = (s[1] / P) * (s[2] / P);
  require(!ids || (is_table(ids) && ids.shape[0] == s[0] && ids.shape[1] <= L), a,
          "ids must be i32 (B, K) with K at most (height / P) (width / P)");
  require(is_floating(a.patches.dtype) && a.patches.shape == Shape{s[0], ids ? ids.shape[1] : L, P * P * s[3]}, a,
          "patches must be (B, (height / P) (width / P), P P C), or (B, K, P P C) with ids, in f64, f32 or bf16");
}

std::int64_t class_rows(ClassPosition p) { return p == ClassPosition::first_row ? 1 : 0; }
double elements(const View& v) { return static_cast<double>(v.shape.count()); }

}  // namespace

void validate(const Patchify& a) {
  check_cut(a, a.ids);
  const DType pixel = a.images.dtype;
  require(is_pixel(pixel), a, "images must be u8, u16, f32 or f64");
  for (const View& v : {a.scale, a.shift}) {
    require(is(v, statistics_of(a.patches.dtype), {a.images.cols()}), a,
            "scale and shift must be (C): f64 for f64 patches, else f32");
  }
}

void validate(const Unpatchify& a) {
  check_cut(a, View{});
  require(a.images.dtype == a.patches.dtype, a, "images must have the dtype of patches");
}

void validate(const TokenGatherForward& a) {
  require(a.class_tokens == 0 || a.class_tokens == 1, a, "class_tokens must be 0 or 1");
  require(is_tokens(a.x), a, "x must be (B, class_tokens + L, C) in f64, f32 or bf16 and not empty");
  require(is_table(a.ids) && a.ids.shape[0] == a.x.shape[0] && a.ids.shape[1] <= a.x.shape[1] - a.class_tokens, a,
          "ids must be i32 (B, K) with K at most L");
  require(is(a.out, a.x.dtype, {a.x.shape[0], a.ids.shape[1], a.x.cols()}), a,
          "out must be (B, K, C) in the dtype of x");
}

void validate(const TokenGatherBackward& a) {
  require(a.class_tokens == 0 || a.class_tokens == 1, a, "class_tokens must be 0 or 1");
  require(is_tokens(a.dout), a, "dout must be (B, K, C) in f64, f32 or bf16 and not empty");
  require(is_table(a.rank) && a.rank.shape[0] == a.dout.shape[0], a, "rank must be i32 (B, L)");
  require(a.first_rank >= 0 && a.first_rank + a.dout.shape[1] <= a.rank.shape[1], a,
          "first_rank, which must not be negative, + K must be at most L");
  require(is(a.dx, a.dout.dtype, {a.dout.shape[0], a.class_tokens + a.rank.shape[1], a.dout.cols()}), a,
          "dx must be (B, class_tokens + L, C) in the dtype of dout");
}

void validate(const TokenEmbedForward& a) {
  require(is_tokens(a.x) && (a.cls || a.x.shape[1] > 1), a,
          "x must be (B, K, C), or without cls (B, 1 + K, C), in f64, f32 or bf16, K at least 1");
  const std::int64_t B = a.x.shape[0], K = a.x.shape[1] - (a.cls ? 0 : 1), C = a.x.cols();
  require(is_null_or(a.cls, a.x.dtype, {1, C}), a, "cls must be (1, C) in the dtype of x, or null");
  require(is(a.ids, DType::i32, {B, K}), a, "ids must be i32 (B, K)");
  require(is(a.out, a.x.dtype, {B, 1 + K, C}), a, "out must be (B, 1 + K, C) in the dtype of x");
  require(a.positions.dtype == a.x.dtype && a.positions.shape.rank == 2 && a.positions.cols() == C &&
              a.positions.rows() >= class_rows(a.class_position) + K,
          a,
          "positions must be (L + 1, C), or (L, C) with ClassPosition::none, in the dtype of x and with L at least K");
}

void validate(const TokenEmbedBackward& a) {
  require(is_tokens(a.dout) && a.dout.shape[1] > 1, a, "dout must be (B, 1 + K, C) in f64, f32 or bf16, K at least 1");
  const std::int64_t B = a.dout.shape[0], K = a.dout.shape[1] - 1, C = a.dout.cols();
  const DType parameter = statistics_of(a.dout.dtype);
  require(a.dx || a.dcls || a.dpositions, a, "nothing is wanted: dx, dcls and dpositions are all null");
  const bool own_class = is(a.dx, a.dout.dtype, {B, 1 + K, C});
  require(own_class || is_null_or(a.dx, a.dout.dtype, {B, K, C}), a,
          "dx must be (B, K, C), or (B, 1 + K, C) where x brought its class tokens, in the dtype of dout");
  require(is_null_or(a.dcls, parameter, {1, C}), a, "dcls must be (1, C): f64 for f64 data, else f32");
  require(!(a.dcls && own_class), a, "dcls must be null where dx (B, 1 + K, C) has the class tokens");
  require(a.rank || !a.dpositions, a, "dpositions needs rank");
  require(!a.rank || (is_table(a.rank) && a.rank.shape[0] == B && a.rank.shape[1] >= K), a,
          "rank must be i32 (B, L) with L at least K");
  require(!a.dpositions || is(a.dpositions, parameter, {class_rows(a.class_position) + a.rank.cols(), C}), a,
          "dpositions must be (L + 1, C), or (L, C) with ClassPosition::none: f64 for f64 data, else f32");
}

void validate(const TokenScatterForward& a) {
  require(is_tokens(a.x) && a.x.shape[1] > 1, a, "x must be (B, 1 + K, C) in f64, f32 or bf16, K at least 1");
  const std::int64_t B = a.x.shape[0], K = a.x.shape[1] - 1, C = a.x.cols();
  require(is_table(a.rank) && a.rank.shape[0] == B && a.rank.shape[1] >= K, a,
          "rank must be i32 (B, L) with L at least K");
  const std::int64_t L = a.rank.shape[1];
  require(is(a.mask_token, a.x.dtype, {1, C}), a, "mask_token must be (1, C) in the dtype of x");
  require(is(a.positions, a.x.dtype, {L + 1, C}), a, "positions must be (L + 1, C) in the dtype of x");
  require(is(a.out, a.x.dtype, {B, 1 + L, C}), a, "out must be (B, 1 + L, C) in the dtype of x");
}

void validate(const TokenScatterBackward& a) {
  require(is_tokens(a.dout) && a.dout.shape[1] > 1, a, "dout must be (B, 1 + L, C) in f64, f32 or bf16, L at least 1");
  const std::int64_t B = a.dout.shape[0], L = a.dout.shape[1] - 1, C = a.dout.cols();
  const DType parameter = statistics_of(a.dout.dtype);
  require(is(a.rank, DType::i32, {B, L}), a, "rank must be i32 (B, L)");
  require(is_table(a.ids) && a.ids.shape[0] == B && a.ids.shape[1] <= L, a, "ids must be i32 (B, K) with K at most L");
  require(a.dx || a.dmask_token || a.dpositions, a, "nothing is wanted: dx, dmask_token and dpositions are all null");
  require(is_null_or(a.dx, a.dout.dtype, {B, 1 + a.ids.shape[1], C}), a, "dx must be (B, 1 + K, C), dtype of dout");
  require(is_null_or(a.dmask_token, parameter, {1, C}), a, "dmask_token must be (1, C): f64 for f64 data, else f32");
  require(is_null_or(a.dpositions, parameter, {1 + L, C}), a,
          "dpositions must be (L + 1, C): f64 for f64 data, else f32");
}

// as many pixels are read as patches have values: with ids not all of the images
Cost cost(const Patchify& a) {
  const double pixels = elements(a.patches) * static_cast<double>(size_of(a.images.dtype));
  return {.flops = 2 * elements(a.patches), .bytes = field_bytes(a) - a.images.bytes() + pixels};
}
Cost cost(const Unpatchify& a) { return {.flops = 0, .bytes = field_bytes(a)}; }

// only K of the L rows of x are read
Cost cost(const TokenGatherForward& a) { return {.flops = 0, .bytes = 2 * a.out.bytes() + a.ids.bytes()}; }

// adding reads and writes K of the L rows of dx; overwriting writes them all
Cost cost(const TokenGatherBackward& a) {
  const bool add = a.dx_mode == Write::accumulate;
  return {.flops = add ? elements(a.dout) : 0,
          .bytes = a.dout.bytes() + a.rank.bytes() + (add ? 2 * a.dout.bytes() : a.dx.bytes())};
}

Cost cost(const TokenEmbedForward& a) { return {.flops = elements(a.out), .bytes = field_bytes(a)}; }

// of dout the class tokens alone, the patches alone, or both are read
Cost cost(const TokenEmbedBackward& a) {
  const double patches =
                   elements(a.dout) * static_cast<double>(a.dout.shape[1] - 1) / static_cast<double>(a.dout.shape[1]),
               classes = elements(a.dout) - patches;
  const bool sum_classes = a.dcls || (a.dpositions && a.class_position == ClassPosition::first_row),
             copy_classes = a.dx && a.dx.shape[1] == a.dout.shape[1];
  const double read = (a.dx || a.dpositions ? patches : 0) + (sum_classes || copy_classes ? classes : 0);
  return {.flops = (sum_classes ? classes : 0) + (a.dpositions ? patches : 0),
          .bytes = field_bytes(a) - a.dout.bytes() + read * static_cast<double>(size_of(a.dout.dtype)) -
                   (a.dpositions ? 0 : a.rank.bytes())};
}

Cost cost(const TokenScatterForward& a) { return {.flops = elements(a.out), .bytes = field_bytes(a)}; }

// dx needs the kept rows of dout and ids, dmask_token the masked rows and rank, dpositions all rows
Cost cost(const TokenScatterBackward& a) {
  const std::int64_t masked_rows = a.dout.shape[0] * (a.rank.shape[1] - a.ids.shape[1]);
  const double masked = static_cast<double>(masked_rows * a.dout.cols()), kept = elements(a.dout) - masked;
  const double read = a.dpositions ? masked + kept : (a.dx ? kept : 0) + (a.dmask_token ? masked : 0);
  return {.flops = (a.dmask_token ? masked : 0) + (a.dpositions ? elements(a.dout) : 0),
          .bytes = field_bytes(a) - a.dout.bytes() + read * static_cast<double>(size_of(a.dout.dtype)) -
                   (a.dmask_token ? 0 : a.rank.bytes()) - (a.dx ? 0 : a.ids.bytes())};
}

}  // namespace kernels
