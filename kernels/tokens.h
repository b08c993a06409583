// From pixels to tokens and back, and the moves of tokens that masking needs.
//
// Patches are numbered row by row over the image; L = (height / P) (width / P). `ids` (B, L) is the shuffled order of
// the patches of a sample, `rank` (B, L) its inverse: rank[ids[k]] = k. A patch is kept when its rank is below K, so
// the first K columns of ids (a view with row_stride L) are the kept patches, and rank is what He et al. call
// ids_restore.
// dtypes: tokens f64, f32 or bf16, all alike; gradients of parameters f64 for f64 data, else f32; ids and rank i32.
//
// Rows trust the values of ids and rank: validate sees shapes only, because a dry stream has no data to look at.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

/// Order of the values of one patch: MAE's target and prediction have the channel fastest, a convolution's weight
/// slowest.
enum class PatchOrder { row_column_channel, channel_row_column };
constexpr std::array<const char*, 2> names_of(PatchOrder) { return {"row_column_channel", "channel_row_column"}; }

/// patches = pixel * scale[channel] + shift[channel], cut into patches: all L in order, or with ids
/// patches[b, k] = patch ids[b, k] of sample b. With pixels of value range r, mean m and standard deviation s (both as
/// parts of r): scale = 1 / (r s), shift = -m / s.
struct Patchify {
  static constexpr const char* kernel = "patchify";
  static const Rows<Patchify> cpu, cuda, simt;

  View images;     // (B, height, width, C)   u8, u16, f32 or f64
  View scale;      // (C)                     f64 for f64 patches, else f32
  View shift;      // (C)
  View ids{};      // (B, K)                  i32, values in [0, L); null: all patches
  View patches;    // (B, L, P P C)           or (B, K, P P C) with ids; written; f64, f32 or bf16
  int patch = 16;  // P, which divides height and width
  PatchOrder order = PatchOrder::row_column_channel;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("images", a.images, Role::input);
    f("scale", a.scale, Role::input);
    f("shift", a.shift, Role::input);
    f("ids", a.ids, Role::input);
    f("patches", a.patches, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("patch", a.patch);
    f("order", a.order);
  }
};

/// The inverse cut, without scale and shift.
struct Unpatchify {
  static constexpr const char* kernel = "unpatchify";
  static const Rows<Unpatchify> cpu, cuda, simt;

  View patches;  // (B, L, P P C)
  View images;   // (B, height, width, C)   written; dtype of patches
  int patch = 16;
  PatchOrder order = PatchOrder::row_column_channel;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("patches", a.patches, Role::input);
    f("images", a.images, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("patch", a.patch);
    f("order", a.order);
  }
};

/// out[b, k] = x[b, class_tokens + ids[b, k]]. Any columns of the shuffled order can be `ids`: the first K are the kept
/// patches, those behind them the masked ones.
struct TokenGatherForward {
  static constexpr const char* kernel = "token_gather_forward";
  static const Rows<TokenGatherForward> cpu, cuda, simt;

  View x;                // (B, class_tokens + L, C)
  View ids;              // (B, K)      i32, values in [0, L), none twice in a row
  View out;              // (B, K, C)   written
  int class_tokens = 0;  // of x, before the patches: 0 or 1

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("ids", a.ids, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("class_tokens", a.class_tokens);
  }
};

/// dx[b, class_tokens + l] = dout[b, rank[b, l] - first_rank] where first_rank <= rank < first_rank + K, else 0; a
/// class token gets 0.
struct TokenGatherBackward {
  static constexpr const char* kernel = "token_gather_backward";
  static const Rows<TokenGatherBackward> cpu, cuda, simt;

  View dout;  // (B, K, C)
  View rank;  // (B, L)      i32
  View dx;    // (B, class_tokens + L, C)
  Write dx_mode = Write::overwrite;
  int class_tokens = 0;  // 0 or 1
  int first_rank = 0;    // the column of the shuffled order where the forward's ids began

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("rank", a.rank, Role::input);
    f("dx", a.dx, role_of(a.dx_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("dx_mode", a.dx_mode);
    f("class_tokens", a.class_tokens);
    f("first_rank", a.first_rank);
  }
};

/// Where the position table of the encoder has the class token's row: first of L + 1 rows, or nowhere in L rows. Said
/// aloud, because the kept ids (B, K) do not tell L.
enum class ClassPosition { first_row, none };
constexpr std::array<const char*, 2> names_of(ClassPosition) { return {"first_row", "none"}; }

/// The encoder's input: out[b, 0] = cls + pos[0], out[b, 1 + k] = x[b, k] + pos[1 + ids[b, k]].
/// With ClassPosition::none out[b, 0] = cls, out[b, 1 + k] = x[b, k] + pos[ids[b, k]].
/// Without cls, x brings its own class tokens: x[b, 0] for cls, x[b, 1 + k] for x[b, k].
struct TokenEmbedForward {
  static constexpr const char* kernel = "token_embed_forward";
  static const Rows<TokenEmbedForward> cpu, cuda, simt;

  View x;          // (B, K, C)       embedded patches, kept ones only; without cls (B, 1 + K, C)
  View cls{};      // (1, C)          null: x[b, 0]
  View positions;  // (L + 1, C)      or (L, C) with ClassPosition::none
  View ids;        // (B, K)          i32
  View out;        // (B, 1 + K, C)   written
  ClassPosition class_position = ClassPosition::first_row;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("cls", a.cls, Role::input);
    f("positions", a.positions, Role::input);
    f("ids", a.ids, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("class_position", a.class_position);
  }
};

/// dx[b, k] = dout[b, 1 + k], dcls = sum over b of dout[b, 0], dpositions likewise; sums over b in order. Where x
/// brought its own class tokens dx (B, 1 + K, C) has their gradients too, a copy of dout, and dcls is null.
struct TokenEmbedBackward {
  static constexpr const char* kernel = "token_embed_backward";
  static const Rows<TokenEmbedBackward> cpu, cuda, simt;

  View dout;          // (B, 1 + K, C)
  View rank{};        // (B, L)          i32; needed for dpositions alone, else may be null
  View dx{};          // (B, K, C)       or (B, 1 + K, C); written; null: not wanted
  View dcls{};        // (1, C)          null: not wanted
  View dpositions{};  // (L + 1, C)      or (L, C) with ClassPosition::none; null: not wanted (fixed positions)
  Write parameter_mode = Write::overwrite;
  ClassPosition class_position = ClassPosition::first_row;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("rank", a.rank, Role::input);
    f("dx", a.dx, Role::output);
    f("dcls", a.dcls, role_of(a.parameter_mode));
    f("dpositions", a.dpositions, role_of(a.parameter_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("parameter_mode", a.parameter_mode);
    f("class_position", a.class_position);
  }
};

/// The decoder's input: out[b, 0] = x[b, 0] + pos[0], and for every patch l
/// out[b, 1 + l] = (rank[b, l] < K ? x[b, 1 + rank[b, l]] : mask_token) + pos[1 + l].
struct TokenScatterForward {
  static constexpr const char* kernel = "token_scatter_forward";
  static const Rows<TokenScatterForward> cpu, cuda, simt;

  View x;           // (B, 1 + K, C)
  View mask_token;  // (1, C)
  View positions;   // (L + 1, C)
  View rank;        // (B, L)          i32
  View out;         // (B, 1 + L, C)   written

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("mask_token", a.mask_token, Role::input);
    f("positions", a.positions, Role::input);
    f("rank", a.rank, Role::input);
    f("out", a.out, Role::output);
  }
};

/// dx[b, 0] = dout[b, 0], dx[b, 1 + k] = dout[b, 1 + ids[b, k]]; dmask_token = sum of dout[b, 1 + l] where rank[b, l]
/// >= K, dpositions = sum over b of dout[b]; sums over b in order, and over l within a sample first.
struct TokenScatterBackward {
  static constexpr const char* kernel = "token_scatter_backward";
  static const Rows<TokenScatterBackward> cpu, cuda, simt;

  View dout;           // (B, 1 + L, C)
  View rank;           // (B, L)          i32
  View ids;            // (B, K)          i32
  View dx{};           // (B, 1 + K, C)   written; null: not wanted
  View dmask_token{};  // (1, C)          null: not wanted
  View dpositions{};   // (L + 1, C)      null: not wanted
  Write parameter_mode = Write::overwrite;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("dout", a.dout, Role::input);
    f("rank", a.rank, Role::input);
    f("ids", a.ids, Role::input);
    f("dx", a.dx, Role::output);
    f("dmask_token", a.dmask_token, role_of(a.parameter_mode));
    f("dpositions", a.dpositions, role_of(a.parameter_mode));
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("parameter_mode", a.parameter_mode);
  }
};

void validate(const Patchify& a);
void validate(const Unpatchify& a);
void validate(const TokenGatherForward& a);
void validate(const TokenGatherBackward& a);
void validate(const TokenEmbedForward& a);
void validate(const TokenEmbedBackward& a);
void validate(const TokenScatterForward& a);
void validate(const TokenScatterBackward& a);
Cost cost(const Patchify& a);
Cost cost(const Unpatchify& a);
Cost cost(const TokenGatherForward& a);
Cost cost(const TokenGatherBackward& a);
Cost cost(const TokenEmbedForward& a);
Cost cost(const TokenEmbedBackward& a);
Cost cost(const TokenScatterForward& a);
Cost cost(const TokenScatterBackward& a);

}  // namespace kernels
