// The names that other programs give to weights, against the official ones.
#include <set>

#include "mae/weight_names.h"
#include "tests/support/catch.h"

using mae::Naming;

namespace {

std::vector<std::string> names(const std::string& key, Naming naming, const std::string& prefix = "") {
  return mae::names_of(key, {naming, prefix});
}

}  // namespace

TEST_CASE("official keys are counted as the released files have them") {
  const auto pretrained = [](int depth) {
    std::int64_t n = 0;
    for (const std::string& key : mae::official_keys(depth, 8)) n += !mae::is_classifier_key(key);
    return n;
  };
  CHECK(pretrained(12) == 254);  // notes 3.1: 12 (depth + 8) + 14
  CHECK(pretrained(24) == 398);
  CHECK(pretrained(32) == 494);
}

TEST_CASE("transformers has four tensors more a block, none of them twice") {
  for (const Naming naming : {Naming::transformers, Naming::transformers5, Naming::modules5}) {
    std::set<std::string> all;
    std::size_t count = 0;
    for (const std::string& key : mae::official_keys(12, 8)) {
      if (mae::is_classifier_key(key)) continue;
      for (const std::string& name : names(key, naming, "vit.")) all.insert(name), ++count;
    }
    CHECK(count == 334);  // notes 3.3: 16 (depth + 8) + 14
    CHECK(all.size() == count);
  }
}

TEST_CASE("one key under each naming") {
  using Names = std::vector<std::string>;
  CHECK(names("blocks.3.attn.qkv.bias", Naming::official) == Names{"blocks.3.attn.qkv.bias"});
  CHECK(names("blocks.3.attn.qkv.bias", Naming::transformers, "vit.") ==
        Names{"vit.encoder.layer.3.attention.attention.query.bias", "vit.encoder.layer.3.attention.attention.key.bias",
              "vit.encoder.layer.3.attention.attention.value.bias"});
  CHECK(names("decoder_blocks.0.attn.proj.weight", Naming::transformers, "vit.") ==
        Names{"decoder.decoder_layers.0.attention.output.dense.weight"});
  CHECK(names("decoder_blocks.0.mlp.fc2.weight", Naming::transformers5, "vit.") ==
        Names{"decoder.decoder_encoder.layer.0.output.dense.weight"});
  CHECK(names("blocks.11.mlp.fc1.weight", Naming::modules5, "vit.") == Names{"vit.layers.11.mlp.fc1.weight"});
  CHECK(names("blocks.11.attn.qkv.weight", Naming::modules5).front() == "layers.11.attention.q_proj.weight");
  CHECK(names("head.weight", Naming::transformers, "vit.") == Names{"classifier.weight"});
  CHECK(names("pos_embed", Naming::transformers) == Names{"embeddings.position_embeddings"});
  CHECK(names("blocks.1.mlp.fc2.bias", Naming::mmpretrain) == Names{"backbone.layers.1.ffn.layers.1.bias"});
  CHECK(names("decoder_norm.weight", Naming::mmpretrain) == Names{"neck.ln1.weight"});
  CHECK(names("norm.weight", Naming::mmpretrain) == Names{"backbone.ln1.weight"});
  CHECK(names("decoder_pos_embed", Naming::mmpretrain) == Names{"neck.decoder_pos_embed"});
}

TEST_CASE("a file's naming is found by its names") {
  for (const Naming naming :
       {Naming::official, Naming::transformers, Naming::transformers5, Naming::modules5, Naming::mmpretrain}) {
    for (const std::string prefix : {"vit.", ""}) {
      if (prefix == "vit." && (naming == Naming::official || naming == Naming::mmpretrain)) continue;
      for (const int decoder_depth : {1, 0}) {
        std::set<std::string> file;
        for (const std::string& key : mae::official_keys(1, decoder_depth)) {
          if (decoder_depth == 0 && mae::is_decoder_key(key)) continue;
          for (const std::string& name : names(key, naming, prefix)) file.insert(name);
        }
        const auto found = mae::find_names([&](const std::string& name) { return file.contains(name); });
        REQUIRE(found);
        // without a decoder both ways of writing its blocks are the same
        const bool same = naming == Naming::transformers5 && decoder_depth == 0;
        CHECK(found->naming == (same ? Naming::transformers : naming));
        CHECK(found->prefix == prefix);
      }
    }
  }
  CHECK_FALSE(mae::find_names([](const std::string&) { return false; }));
}
