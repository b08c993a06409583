// The ops of a ViT, each one function that computes and, given a tape, records its backward. Model-sized and few.
//
// An op keeps for backward exactly what its record names. Inputs that are not tracked get no gradient; parameters that
// are not trainable neither. All tensors share the context's dtype, except where a shape comment says otherwise.
#pragma once

#include "engine/parameters.h"
#include "engine/tape.h"
#include "kernels/batchnorm.h"
#include "kernels/loss.h"
#include "kernels/pool.h"
#include "kernels/tokens.h"

namespace engine {

/// Who makes the gradient of a bias, the column sum of its layer's dy: the layer, in a pass of its own, or the op that
/// makes dy, on the way.
enum class BiasGradient { here, elsewhere };

/// y = x w^T + b (+ residual).  x (..., in), w (out, in), b (out) or null; keeps x.
/// The residual's gradient is dy itself: it is handed on, not copied.
Tensor linear(Context& c, const Tensor& x, const Parameter& w, const Parameter& b, const Tensor& residual = {},
              BiasGradient bias = BiasGradient::here);

/// Over the last dimension; keeps x, mean, rstd. `bias_of_x`, or null: the bias that was added to x last. Its gradient
/// is then made here, which is right where this op is the first that x was given to: in backward it comes last, and
/// completes the gradient of x.
Tensor layernorm(Context& c, const Tensor& x, const Parameter& gamma, const Parameter& beta, double eps,
                 const Parameter& bias_of_x = {});

/// Batch normalisation of x (B, C) without affine: kernels/batchnorm.h; keeps x, mean, rstd. In training the running
/// statistics are not touched: what they become is written to next_mean and next_var, for moving_average with decay 0
/// to take over once the step is known to be good.
struct BatchNormState {
  View running_mean, running_var;  // (C)   f64 for f64 data, else f32
  View next_mean{}, next_var{};    // (C)   null: not wanted
};
Tensor batchnorm(Context& c, const Tensor& x, const BatchNormState& state, double eps, double momentum,
                 kernels::BatchNormMode mode);

/// Self-attention: qkv (B, T, 3 C) -> (B, T, C) with C = heads * D, scale D^-0.5; keeps qkv, the output, lse.
/// `qkv_bias` (3 C), or null: the bias of qkv, whose gradient is then made here.
Tensor attention(Context& c, const Tensor& qkv, int heads, const Parameter& qkv_bias = {});

/// An MLP: y = gelu(x w1^T + b1) w2^T + b2 (+ residual); keeps x, the first product, and its GELU where that is stored.
struct Mlp {
  Parameter w1, b1, w2, b2;
};
/// recomputed: half of the hidden tensors that are kept, for one pass more in backward.
enum class GeluOutput { stored, recomputed };
struct MlpOptions {
  GeluOutput gelu = GeluOutput::stored;
  BiasGradient b1 = BiasGradient::elsewhere;  // elsewhere: here too, by the product that makes its dy
  BiasGradient b2 = BiasGradient::here;       // elsewhere: by another op, as in linear
};
Tensor mlp(Context& c, const Tensor& x, const Mlp& layers, const Tensor& residual, const MlpOptions& options);

/// Exact GELU; keeps x.
Tensor gelu(Context& c, const Tensor& x);

/// x + scale * branch where keep (B, 1) is 1, x where it is 0 (kernels/drop_path.h); x, branch (B, T, C). Keeps nothing
/// but the view: `keep` must stand until backward. The gradient of x is dy itself: it is handed on, not copied.
Tensor drop_path(Context& c, const Tensor& x, const Tensor& branch, const View& keep, double scale);

/// Tokens x (B, 1 + L, C) -> (B, C): the mean of the patch tokens, or the class token. Keeps nothing.
Tensor token_pool(Context& c, const Tensor& x, kernels::Pooling pooling);

/// Image patches as tokens (B, L, P P C), normalised: kernels/tokens.h. With ids (B, K) those patches alone. No
/// gradient.
Tensor patchify(Context& c, const View& images, const View& scale, const View& shift, int patch,
                kernels::PatchOrder order, const View& ids = {});

/// The order of patches that masking draws: kernels/masking.h.
struct Masking {
  Tensor rank;  // (B, L)   i32
  Tensor ids;   // (B, L)   i32

  std::int64_t patches() const { return rank.shape()[1]; }
  /// The ids of the first `keep` patches in shuffled order: (B, keep), rows L apart.
  View kept(std::int64_t keep) const {
    return {ids.view.data, ids.view.dtype, {ids.shape()[0], keep}, ids.view.row_stride};
  }
  /// The ids of all others, (B, L - keep), in shuffled order.
  View masked(std::int64_t keep) const {
    auto* first = ids.view.data ? ids.view.as<std::int32_t>() + keep : nullptr;
    return {first, ids.view.dtype, {ids.shape()[0], patches() - keep}, ids.view.row_stride};
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

/// Tokens x (B, 1 + L, C) -> those of the masked patches, (B, L - keep, C), in shuffled order.
Tensor masked_gather(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep);

/// The other way: x (B, L - keep, C) -> (B, 1 + L, C), zero in all other rows.
Tensor masked_return(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep);

/// The rows that the decoder's input consists of, x (B, 1 + K, C) -> (B (1 + K) + L, C): every encoded token with its
/// position, then, once for all samples, the mask token at every position. What is the same for each row, LayerNorm and
/// linear layers, need not be done B times for a masked position.
Tensor distinct_tokens(Context& c, const Tensor& x, const Parameter& mask_token, const Parameter& positions,
                       const Masking& masking);

/// Distinct rows (B (1 + K) + L, C) -> tokens (B, 1 + L, C): what token_scatter makes of x.
Tensor merge_tokens(Context& c, const Tensor& rows, const Masking& masking);

/// Attention of masked tokens only, with the projection before it: x (B, 1 + L, C) -> (B, L - keep, C). Keys and values
/// of all tokens, queries of the masked ones: what self-attention gives for those rows. w (3 C, C), b (3 C) or null.
/// Keeps x, its masked rows, q, k, v, the output, lse.
struct Projection {
  Parameter w, b;
  BiasGradient bias = BiasGradient::here;  // elsewhere: by the attention kernel
};
Tensor masked_attention(Context& c, const Tensor& x, const Projection& qkv, int heads, const Masking& masking,
                        std::int64_t keep);

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

/// The same in one kernel, from the images themselves, for predictions (B, L - keep, P P C) of the masked patches.
struct PixelTargets {
  View images, scale, shift;  // as patchify takes them
  int patch = 16;
  kernels::PatchOrder order = kernels::PatchOrder::row_column_channel;
};
Tensor pixel_loss(Context& c, const Tensor& pred, const PixelTargets& targets, const Masking& masking, const View& loss,
                  const MseOptions& options);

/// kernels/cross_entropy.h: adds factor times the loss of these samples to `loss` (1), or overwrites it. The end of a
/// tape, as above; keeps the gradient of the logits, which is made with the loss.
struct ClassTargets {
  View labels;          // (B, 2)   i32; -1 in column 0: no label
  View lambda;          // (B)      f64, the share of the first label
  View class_weight{};  // (K)      f64, or null
  double smoothing = 0;
};
Tensor cross_entropy(Context& c, const Tensor& logits, const ClassTargets& targets, const View& loss, double factor,
                     kernels::Write mode);
struct BinaryTargets {
  View targets;   // (B, K)   i32: 1, 0, or -1 for missing
  View weight{};  // (K)      f64, or null
};
Tensor binary_cross_entropy(Context& c, const Tensor& logits, const BinaryTargets& targets, const View& loss,
                            double factor, kernels::Write mode);

}  // namespace engine
