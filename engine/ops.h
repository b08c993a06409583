// The ops of a ViT, each one function that computes and, given a tape, records its backward. Model-sized and few.
//
// An op keeps for backward exactly what its record names. Inputs that are not tracked get no gradient; parameters that
// are not trainable neither. All tensors share the context's dtype, except where a shape comment says otherwise.
#pragma once

#include "engine/parameters.h"
#include "engine/tape.h"
#include "kernels/loss.h"
#include "kernels/tokens.h"

namespace engine {

/// y = x w^T + b (+ residual).  x (..., in), w (out, in), b (out) or null; keeps x.
/// The residual's gradient is dy itself: it is handed on, not copied.
Tensor linear(Context& c, const Tensor& x, const Parameter& w, const Parameter& b, const Tensor& residual = {});

/// Over the last dimension; keeps x, mean, rstd.
Tensor layernorm(Context& c, const Tensor& x, const Parameter& gamma, const Parameter& beta, double eps);

/// Self-attention: qkv (B, T, 3 C) -> (B, T, C) with C = heads * D, scale D^-0.5; keeps qkv, the output, lse.
Tensor attention(Context& c, const Tensor& qkv, int heads);

/// Exact GELU; keeps x.
Tensor gelu(Context& c, const Tensor& x);

/// Image patches as tokens (B, L, P P C), normalised: kernels/tokens.h. No gradient.
Tensor patchify(Context& c, const View& images, const View& scale, const View& shift, int patch,
                kernels::PatchOrder order);

/// The order of patches that masking draws: kernels/masking.h.
struct Masking {
  Tensor rank;  // (B, L)   i32
  Tensor ids;   // (B, L)   i32

  std::int64_t patches() const { return rank.shape()[1]; }
  /// The ids of the first `keep` patches in shuffled order: (B, keep), rows L apart.
  View kept(std::int64_t keep) const {
    return {ids.view.data, ids.view.dtype, {ids.shape()[0], keep}, ids.view.row_stride};
  }
};
Masking mask_ranks(Context& c, const View& draws, std::int64_t patches, std::uint32_t seed, std::uint32_t subindex = 0);

/// x (B, L, C) -> the kept tokens (B, keep, C).
Tensor token_gather(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep);

/// Kept patch embeddings x (B, K, C) -> the encoder's input (B, 1 + K, C): class token in front, positions added.
Tensor token_embed(Context& c, const Tensor& x, const Parameter& cls, const Parameter& positions,
                   const Masking& masking);

/// Encoded tokens x (B, 1 + K, C) -> the decoder's input (B, 1 + L, C): mask tokens filled in, positions added.
Tensor token_scatter(Context& c, const Tensor& x, const Parameter& mask_token, const Parameter& positions,
                     const Masking& masking);

/// kernels/loss.h: adds the share of these samples to `loss` (1), or overwrites it. The end of a tape: the gradient of
/// the loss is 1.
struct MseOptions {
  std::int64_t keep = 0;
  double scale = 1;
  kernels::PixelTarget pixels = kernels::PixelTarget::raw;
  kernels::Write mode = kernels::Write::overwrite;
};
Tensor masked_mse(Context& c, const Tensor& pred, const Tensor& target, const Masking& masking, const View& loss,
                  const MseOptions& options);

}  // namespace engine
