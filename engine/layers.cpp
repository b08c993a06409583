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

Block add_block(Parameters& p, const std::string& name, const BlockShape& s) {
  return {.norm1 = add_layernorm(p, name + ".norm1", s.dim, s.eps),
          .qkv = add_linear(p, name + ".attn.qkv", s.dim, 3 * s.dim, s.qkv_bias),
          .proj = add_linear(p, name + ".attn.proj", s.dim, s.dim),
          .norm2 = add_layernorm(p, name + ".norm2", s.dim, s.eps),
          .fc1 = add_linear(p, name + ".mlp.fc1", s.dim, s.hidden),
          .fc2 = add_linear(p, name + ".mlp.fc2", s.hidden, s.dim),
          .heads = s.heads};
}

}  // namespace engine
