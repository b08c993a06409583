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

/// Pre-norm transformer block (Dosovitskiy et al. 2021):  x = x + attention(norm1(x)),  x = x + mlp(norm2(x)).
///
/// `bias_before`: the bias that was added to x last, for norm1 to make its gradient of (ops.h, layernorm); that of this
/// block, for the norm behind it, is last_bias().
struct Block {
  LayerNorm norm1;
  Linear qkv, proj;
  LayerNorm norm2;
  Linear fc1, fc2;
  int heads = 1;
  Fusion fusion{};
  bool norm_follows = false;  // a LayerNorm is the first that its output is given to, and makes last_bias()'s gradient

  Tensor operator()(Context& c, const Tensor& x, const Parameter& bias_before = {}) const;
  /// The same, of tokens that are given as distinct rows (ops.h).
  Tensor from_distinct(Context& c, const Tensor& rows, const Masking& masking) const;
  /// The same, for the masked tokens alone: (B, 1 + L, C) -> (B, L - keep, C).
  Tensor of_masked(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep,
                   const Parameter& bias_before = {}) const;

  Parameter last_bias() const { return fusion.bias && norm_follows ? fc2.bias : Parameter{}; }

 private:
  Tensor behind_attention(Context& c, const Tensor& attended, const Tensor& x) const;
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
