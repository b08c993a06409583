// The names that programs give to the weights of a Masked Autoencoder or of a ViT, against the official state-dict
// keys, which are ours (and, for the encoder, timm's).
//
//     official       cls_token, blocks.I.attn.qkv.weight, decoder_blocks.I.*, head.*: He et al.'s code; timm
//     transformers   vit.embeddings.cls_token, vit.encoder.layer.I.*, decoder.decoder_layers.I.*, classifier.*: Hugging
//                    Face's ViTMAE and ViT, in the files of its hub; q, k and v are three tensors
//     transformers5  the same but for decoder.decoder_encoder.layer.I.*: what save_pretrained of transformers 5 writes
//     modules5       vit.layers.I.attention.q_proj.*: the state dict of a model in transformers 5
//     mmpretrain     backbone.cls_token, backbone.layers.I.*, neck.*; its heads are not read
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mae {

enum class Naming { official, transformers, transformers5, modules5, mmpretrain };

struct Names {
  Naming naming = Naming::official;
  std::string prefix;  // before the encoder's names: "vit." of transformers' models with a head or a decoder, else none
};

/// The names of one official key: one; or those of q, k and v, whose rows stand one below another in attn.qkv.
std::vector<std::string> names_of(const std::string& key, const Names& names);

/// Which names a file has; nothing where it has no class token under any of them.
std::optional<Names> find_names(const std::function<bool(const std::string&)>& has);

/// Every official key that a model of so many blocks may have, in forward order, those of classifiers last.
std::vector<std::string> official_keys(int depth, int decoder_depth);

/// Whether a key belongs to the decoder: mask_token, decoder_*.
bool is_decoder_key(const std::string& key);
/// Whether it belongs to a classifier alone: head.*, fc_norm.*.
bool is_classifier_key(const std::string& key);

}  // namespace mae
