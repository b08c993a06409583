// Layers: named groups of parameters, declared in forward order, and the ops applied to them.
#pragma once

#include <string>

#include "engine/ops.h"

namespace engine {

struct Linear {
  Parameter weight;  // (out, in)
  Parameter bias;    // (out), or null

  Tensor operator()(Context& c, const Tensor& x, const Tensor& residual = {}) const {
    return linear(c, x, weight, bias, residual);
  }
};

struct LayerNorm {
  Parameter weight;  // (C)
  Parameter bias;    // (C)
  double eps = 1e-6;

  Tensor operator()(Context& c, const Tensor& x) const { return layernorm(c, x, weight, bias, eps); }
};

/// Pre-norm transformer block (Dosovitskiy et al. 2021):  x = x + attention(norm1(x)),  x = x + mlp(norm2(x)).
struct Block {
  LayerNorm norm1;
  Linear qkv, proj;
  LayerNorm norm2;
  Linear fc1, fc2;
  int heads = 1;

  Tensor operator()(Context& c, const Tensor& x) const {
    const Tensor attended = proj(c, attention(c, qkv(c, norm1(c, x)), heads), x);
    return fc2(c, gelu(c, fc1(c, norm2(c, attended))), attended);
  }
};

struct BlockShape {
  std::int64_t dim = 0, hidden = 0;
  int heads = 1;
  bool qkv_bias = true;
  double eps = 1e-6;
};

Linear add_linear(Parameters& p, const std::string& name, std::int64_t in, std::int64_t out, bool bias = true);
LayerNorm add_layernorm(Parameters& p, const std::string& name, std::int64_t dim, double eps);
Block add_block(Parameters& p, const std::string& name, const BlockShape& shape);

}  // namespace engine
