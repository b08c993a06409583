#include "engine/layers.h"

namespace engine {

Linear add_linear(Parameters& p, const std::string& name, std::int64_t in, std::int64_t out, bool bias) {
  Linear layer{.weight = p.add(name + ".weight", {out, in}), .bias = {}};
  if (bias) layer.bias = p.add(name + ".bias", {out});
  return layer;
}

LayerNorm add_layernorm(Parameters& p, const std::string& name, std::int64_t dim, double eps) {
  return {.weight = p.add(name + ".weight", {dim}), .bias = p.add(name + ".bias", {dim}), .eps = eps};
}

Block add_block(Parameters& p, const std::string& name, const BlockShape& s, const Fusion& fusion) {
  return {.norm1 = add_layernorm(p, name + ".norm1", s.dim, s.eps),
          .qkv = add_linear(p, name + ".attn.qkv", s.dim, 3 * s.dim, s.qkv_bias),
          .proj = add_linear(p, name + ".attn.proj", s.dim, s.dim),
          .norm2 = add_layernorm(p, name + ".norm2", s.dim, s.eps),
          .fc1 = add_linear(p, name + ".mlp.fc1", s.dim, s.hidden),
          .fc2 = add_linear(p, name + ".mlp.fc2", s.hidden, s.dim),
          .heads = s.heads,
          .fusion = fusion};
}

Tensor Block::attention_half(Context& c, const Tensor& x, const Parameter& bias_before, const DropPath& drop) const {
  const Tensor projected = qkv(c, norm1(c, x, bias_before), {}, bias_gradient());
  const Tensor attended = attention(c, projected, heads, bias_of(qkv));
  if (!drop.keep) return proj(c, attended, x, bias_gradient());
  return drop_path(c, x, proj(c, attended), drop.column(0), drop.scale);
}

Tensor Block::mlp_half(Context& c, const Tensor& x, const DropPath& drop) const {
  const bool drops = static_cast<bool>(drop.keep);
  const Tensor normed = norm2(c, x, drops ? Parameter{} : bias_of(proj));
  const Tensor residual = drops ? Tensor{} : x;
  const BiasGradient last = norm_follows && !drops ? bias_gradient() : BiasGradient::here;
  const Tensor y = fusion.mlp ? mlp(c, normed, {fc1.weight, fc1.bias, fc2.weight, fc2.bias}, residual,
                                    {.gelu = fusion.gelu, .b1 = bias_gradient(), .b2 = last})
                              : fc2(c, gelu(c, fc1(c, normed)), residual, last);
  return drops ? drop_path(c, x, y, drop.column(1), drop.scale) : y;
}

Tensor Block::from_distinct(Context& c, const Tensor& rows, const Masking& masking) const {
  const Tensor projected = merge_tokens(c, qkv(c, norm1(c, rows), {}, bias_gradient()), masking);
  const Tensor attended = attention(c, projected, heads, bias_of(qkv));
  return mlp_half(c, proj(c, attended, merge_tokens(c, rows, masking), bias_gradient()));
}

Tensor Block::of_masked(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep,
                        const Parameter& bias_before) const {
  const Projection projection{.w = qkv.weight, .b = qkv.bias, .bias = bias_gradient()};
  const Tensor attended = masked_attention(c, norm1(c, x, bias_before), projection, heads, masking, keep);
  return mlp_half(c, proj(c, attended, masked_gather(c, x, masking, keep), bias_gradient()));
}

}  // namespace engine
