// Layers: named groups of parameters, declared in forward order, and the ops applied to them.
#pragma once

#include <string>

#include "engine/ops.h"

namespace engine {

struct Linear {
  Parameter weight;  // (out, in)
  Parameter bias;    // (out), or null

  Tensor operator()(Context& c, const Tensor& x, const Tensor& residual = {},
                    BiasGradient bias_gradient = BiasGradient::here) const {
    return linear(c, x, weight, bias, residual, bias_gradient);
  }
};

struct LayerNorm {
  Parameter weight;  // (C)
  Parameter bias;    // (C)
  double eps = 1e-6;

  Tensor operator()(Context& c, const Tensor& x, const Parameter& bias_of_x = {}) const {
    return layernorm(c, x, weight, bias, eps, bias_of_x);
  }
};

/// Which passes of a block are made in one. None changes what is computed, but for rounding.
struct Fusion {
  bool mlp = true;   // GELU and its gradient behind the products beside it
  bool bias = true;  // gradients of biases in the passes that make what they are sums of
  GeluOutput gelu = GeluOutput::stored;
};

/// Which samples leave out which branch of a block: kernels/drop_path.h.
struct DropPath {
  View keep{};       // (B, 2)   i32, 1 or 0: attention, MLP; null: none is dropped
  double scale = 1;  // 1 / the probability of being kept

  View column(std::int64_t i) const {  // (B, 1)
    auto* first = keep.data ? keep.as<std::int32_t>() + i : nullptr;
    return {first, keep.dtype, {keep.shape[0], 1}, keep.row_stride};
  }
};

/// Pre-norm transformer block (Dosovitskiy et al. 2021):  x = x + attention(norm1(x)),  x = x + mlp(norm2(x)).
///
/// `bias_before`: the bias that was added to x last, for norm1 to make its gradient of (ops.h, layernorm); that of this
/// block, for the norm behind it, is last_bias(). Where a branch may be dropped, the gradient of x is not that of the
/// bias that was added to it last: the layers make their own, and last_bias(drop) is null.
struct Block {
  LayerNorm norm1;
  Linear qkv, proj;
  LayerNorm norm2;
  Linear fc1, fc2;
  int heads = 1;
  Fusion fusion{};
  bool norm_follows = false;  // a LayerNorm is the first that its output is given to, and makes last_bias()'s gradient

  Tensor operator()(Context& c, const Tensor& x, const Parameter& bias_before = {}, const DropPath& drop = {}) const {
    return mlp_half(c, attention_half(c, x, bias_before, drop), drop);
  }
  /// x + attention(norm1(x)). A caller who trains the other half alone runs this one without a tape.
  Tensor attention_half(Context& c, const Tensor& x, const Parameter& bias_before = {},
                        const DropPath& drop = {}) const;
  /// x + mlp(norm2(x)), of what attention_half gives. With a tape and fusion.bias, norm2 makes the gradient of proj's
  /// bias where x is tracked and nothing is dropped: norm2 must be the first that x is given to.
  Tensor mlp_half(Context& c, const Tensor& x, const DropPath& drop = {}) const;
  /// The same as operator(), of tokens that are given as distinct rows (ops.h).
  Tensor from_distinct(Context& c, const Tensor& rows, const Masking& masking) const;
  /// And for the masked tokens alone: (B, 1 + L, C) -> (B, L - keep, C).
  Tensor of_masked(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep,
                   const Parameter& bias_before = {}) const;

  /// The bias whose gradient the norm behind this block makes, or null; `drop` as in the call.
  Parameter last_bias(const DropPath& drop = {}) const {
    return fusion.bias && norm_follows && !drop.keep ? fc2.bias : Parameter{};
  }

 private:
  BiasGradient bias_gradient() const { return fusion.bias ? BiasGradient::elsewhere : BiasGradient::here; }
  Parameter bias_of(const Linear& layer) const { return fusion.bias ? layer.bias : Parameter{}; }
};

struct BlockShape {
  std::int64_t dim = 0, hidden = 0;
  int heads = 1;
  bool qkv_bias = true;
  double eps = 1e-6;
};

Linear add_linear(Parameters& p, const std::string& name, std::int64_t in, std::int64_t out, bool bias = true);
LayerNorm add_layernorm(Parameters& p, const std::string& name, std::int64_t dim, double eps);
Block add_block(Parameters& p, const std::string& name, const BlockShape& shape, const Fusion& fusion = {});

}  // namespace engine
