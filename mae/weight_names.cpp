#include "mae/weight_names.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace mae {
namespace {

using Renamed =
    std::pair<std::string_view, std::string_view>;  // beginning of an official name, and what it is elsewhere

constexpr std::array transformers_block{Renamed{"norm1.", "layernorm_before."}, Renamed{"norm2.", "layernorm_after."},
                                        Renamed{"attn.proj.", "attention.output.dense."},
                                        Renamed{"mlp.fc1.", "intermediate.dense."},
                                        Renamed{"mlp.fc2.", "output.dense."}};
constexpr std::array modules5_block{Renamed{"norm1.", "layernorm_before."}, Renamed{"norm2.", "layernorm_after."},
                                    Renamed{"attn.proj.", "attention.o_proj."}};
constexpr std::array transformers_encoder{
    Renamed{"cls_token", "embeddings.cls_token"}, Renamed{"pos_embed", "embeddings.position_embeddings"},
    Renamed{"patch_embed.proj.", "embeddings.patch_embeddings.projection."}, Renamed{"norm.", "layernorm."}};

constexpr std::array mmpretrain_block{Renamed{"norm1.", "ln1."}, Renamed{"norm2.", "ln2."},
                                      Renamed{"mlp.fc1.", "ffn.layers.0.0."}, Renamed{"mlp.fc2.", "ffn.layers.1."}};
constexpr std::array mmpretrain_encoder{Renamed{"patch_embed.proj.", "patch_embed.projection."},
                                        Renamed{"norm.", "ln1."}};
constexpr std::array mmpretrain_decoder{Renamed{"decoder_norm.", "ln1."}};

template <class Table>
std::string renamed(const std::string& name, const Table& table) {
  for (const auto& [from, to] : table)
    if (name.starts_with(from)) return std::string(to) + name.substr(from.size());
  return name;
}

/// "blocks.3.norm1.weight" -> "3." and "norm1.weight"; nothing where the name does not begin with `list`.
std::optional<std::pair<std::string, std::string>> in_block(const std::string& name, std::string_view list) {
  if (!name.starts_with(list)) return std::nullopt;
  const std::size_t end = name.find('.', list.size()) + 1;
  return std::pair(name.substr(list.size(), end - list.size()), name.substr(end));
}

/// What differs between the three namings of transformers.
struct Dialect {
  const char *blocks, *decoder_blocks;
  bool modules;
};

constexpr Dialect dialect_of(Naming naming) {
  if (naming == Naming::modules5) return {"layers.", "decoder.decoder_layers.", true};
  if (naming == Naming::transformers5) return {"encoder.layer.", "decoder.decoder_encoder.layer.", false};
  return {"encoder.layer.", "decoder.decoder_layers.", false};
}

std::vector<std::string> in_transformers_block(const std::string& begin, const std::string& name, bool modules) {
  constexpr std::string_view fused = "attn.qkv.";
  if (!name.starts_with(fused))
    return {begin + (modules ? renamed(name, modules5_block) : renamed(name, transformers_block))};
  const std::array<const char*, 3> parts = modules
                                               ? std::array{"q_proj.", "k_proj.", "v_proj."}
                                               : std::array{"attention.query.", "attention.key.", "attention.value."};
  std::vector<std::string> names;
  for (const char* part : parts) names.push_back(begin + "attention." + part + name.substr(fused.size()));
  return names;
}

std::vector<std::string> in_transformers(const std::string& key, const Names& names) {
  const Dialect dialect = dialect_of(names.naming);
  if (const auto block = in_block(key, "blocks."))
    return in_transformers_block(names.prefix + dialect.blocks + block->first, block->second, dialect.modules);
  if (const auto block = in_block(key, "decoder_blocks."))
    return in_transformers_block(dialect.decoder_blocks + block->first, block->second, dialect.modules);
  if (key.starts_with("head.")) return {"classifier." + key.substr(5)};
  return {is_decoder_key(key) ? "decoder." + key : names.prefix + renamed(key, transformers_encoder)};
}

std::string in_mmpretrain(const std::string& key) {
  if (const auto block = in_block(key, "blocks."))
    return "backbone.layers." + block->first + renamed(block->second, mmpretrain_block);
  if (const auto block = in_block(key, "decoder_blocks."))
    return "neck.decoder_blocks." + block->first + renamed(block->second, mmpretrain_block);
  return is_decoder_key(key) ? "neck." + renamed(key, mmpretrain_decoder)
                             : "backbone." + renamed(key, mmpretrain_encoder);
}

void add_layer(std::vector<std::string>& keys, const std::string& name) {
  keys.push_back(name + ".weight");
  keys.push_back(name + ".bias");
}

void add_blocks(std::vector<std::string>& keys, const std::string& list, int depth) {
  for (int i = 0; i < depth; ++i) {
    for (const char* layer : {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"})
      add_layer(keys, list + "." + std::to_string(i) + "." + layer);
  }
}

}  // namespace

bool is_decoder_key(const std::string& key) { return key == "mask_token" || key.starts_with("decoder_"); }
bool is_classifier_key(const std::string& key) { return key.starts_with("head.") || key.starts_with("fc_norm."); }

std::vector<std::string> names_of(const std::string& key, const Names& names) {
  if (names.naming == Naming::official) return {key};
  if (names.naming == Naming::mmpretrain) return {in_mmpretrain(key)};
  return in_transformers(key, names);
}

std::optional<Names> find_names(const std::function<bool(const std::string&)>& has) {
  const Names known[] = {{Naming::official, ""},     {Naming::transformers, "vit."}, {Naming::transformers5, "vit."},
                         {Naming::modules5, "vit."}, {Naming::transformers, ""},     {Naming::transformers5, ""},
                         {Naming::modules5, ""},     {Naming::mmpretrain, ""}};
  std::optional<Names> found;
  for (const Names& names : known) {
    const auto there = [&](const char* key) { return has(names_of(key, names).front()); };
    if (!there("cls_token") || !there("blocks.0.norm1.weight")) continue;
    if (there("decoder_blocks.0.norm1.weight")) return names;
    if (!found) found = names;
  }
  return found;
}

std::vector<std::string> official_keys(int depth, int decoder_depth) {
  std::vector<std::string> keys{"cls_token", "pos_embed"};
  add_layer(keys, "patch_embed.proj");
  add_blocks(keys, "blocks", depth);
  add_layer(keys, "norm");
  add_layer(keys, "decoder_embed");
  keys.insert(keys.end(), {"mask_token", "decoder_pos_embed"});
  add_blocks(keys, "decoder_blocks", decoder_depth);
  add_layer(keys, "decoder_norm");
  add_layer(keys, "decoder_pred");
  add_layer(keys, "fc_norm");
  add_layer(keys, "head");
  keys.insert(keys.end(), {"head.0.running_mean", "head.0.running_var"});
  add_layer(keys, "head.1");
  return keys;
}

}  // namespace mae
