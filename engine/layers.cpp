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

Tensor Block::operator()(Context& c, const Tensor& x, const Parameter& bias_before) const {
  const Tensor projected = qkv(c, norm1(c, x, bias_before), {}, bias_gradient());
  return behind_attention(c, attention(c, projected, heads, bias_of(qkv)), x);
}

Tensor Block::from_distinct(Context& c, const Tensor& rows, const Masking& masking) const {
  const Tensor projected = merge_tokens(c, qkv(c, norm1(c, rows), {}, bias_gradient()), masking);
  const Tensor attended = attention(c, projected, heads, bias_of(qkv));
  return behind_attention(c, attended, merge_tokens(c, rows, masking));
}

Tensor Block::of_masked(Context& c, const Tensor& x, const Masking& masking, std::int64_t keep,
                        const Parameter& bias_before) const {
  const Projection projection{.w = qkv.weight, .b = qkv.bias, .bias = bias_gradient()};
  const Tensor attended = masked_attention(c, norm1(c, x, bias_before), projection, heads, masking, keep);
  return behind_attention(c, attended, masked_gather(c, x, masking, keep));
}

Tensor Block::behind_attention(Context& c, const Tensor& attended, const Tensor& x) const {
  const Tensor middle = proj(c, attended, x, bias_gradient());
  const Tensor normed = norm2(c, middle, bias_of(proj));
  const BiasGradient last = norm_follows ? bias_gradient() : BiasGradient::here;
  if (!fusion.mlp) return fc2(c, gelu(c, fc1(c, normed)), middle, last);
  return mlp(c, normed, {fc1.weight, fc1.bias, fc2.weight, fc2.bias}, middle,
             {.gelu = fusion.gelu, .b1 = bias_gradient(), .b2 = last});
}

}  // namespace engine
