#include "mae/weights_config.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <optional>

#include "engine/files.h"
#include "engine/json.h"
#include "kernels/core/check.h"
#include "mae/classifier.h"
#include "mae/model_file.h"
#include "mae/weights.h"

namespace mae {
namespace {

namespace fs = std::filesystem;
using engine::Json;

/// What was taken for granted, and the key of config.json that would say it.
struct Guess {
  const char* key;
  std::string text;
};

/// Reads sizes off the tensors, and says what it took for granted.
class FromShapes {
 public:
  FromShapes(const Weights& weights, std::vector<Guess>& guesses) : weights_(weights), guesses_(guesses) {}

  Config config() {
    encoder();
    if (weights_.has_decoder()) decoder();
    return c_;
  }

 private:
  [[noreturn]] void refuse(const std::string& fact) const {
    throw kernels::Error(fact, weights_.path(), "a Masked Autoencoder's or a plain ViT's weights");
  }

  const std::vector<std::int64_t>& shape(const std::string& key, std::size_t rank) const {
    const WeightEntry* entry = weights_.find(key);
    if (!entry) refuse(key + " is not in the file");
    if (entry->shape.size() != rank)
      refuse(fmt::format("{} is ({}), and {} sizes are wanted", key, fmt::join(entry->shape, ", "), rank));
    return entry->shape;
  }

  int size(const std::string& key, std::size_t rank, std::size_t axis) const {
    const std::int64_t n = shape(key, rank)[axis];
    if (n < 1 || n > 1 << 24) refuse(fmt::format("{} has a size of {}", key, n));
    return static_cast<int>(n);
  }

  int small(int n, int most, const char* what) const {
    if (n > most) refuse(fmt::format("{} {}, and at most {} are possible", n, what, most));
    return n;
  }

  int blocks(const std::string& list) const {
    int n = 0;
    while (weights_.find(fmt::format("{}.{}.norm1.weight", list, n))) ++n;
    return n;
  }

  void encoder() {
    c_.dim = size("cls_token", 3, 2);
    c_.channels = small(size("patch_embed.proj.weight", 4, 1), 64, "channels");
    c_.patch = small(size("patch_embed.proj.weight", 4, 2), 4096, "pixels on a side of a patch");
    if (size("patch_embed.proj.weight", 4, 3) != c_.patch) refuse("its patches are no squares");
    c_.depth = blocks("blocks");
    const int hidden = size("blocks.0.mlp.fc1.weight", 2, 0);
    c_.mlp_ratio = hidden / static_cast<double>(c_.dim);
    if (c_.mlp_hidden(c_.dim) < hidden) c_.mlp_ratio = std::nextafter(c_.mlp_ratio, 2 * c_.mlp_ratio);
    c_.qkv_bias = weights_.find("blocks.0.attn.qkv.bias") != nullptr;
    c_.heads = heads();
    grid();
  }

  /// Of a known model its own; else 64 dims each, as in nearly every ViT.
  int heads() {
    for (const std::string& name : preset_names()) {
      const Config known = preset(name);
      if (known.dim != c_.dim || known.depth != c_.depth) continue;
      c_.preset = name;
      return known.heads;
    }
    if (c_.dim % 64 != 0) return 0;
    guesses_.push_back(
        {"num_attention_heads",
         fmt::format("attention heads of the encoder are not in the file: {}, of 64 dims each, are taken",
                     c_.dim / 64)});
    return c_.dim / 64;
  }

  /// Patches of a square, with a class token before them, or without.
  void grid() {
    const int rows = size("pos_embed", 3, 1);
    const auto root = [](int n) { return static_cast<int>(std::lround(std::sqrt(n))); };
    c_.image_height = c_.image_width = 0;
    for (const int token : {1, 0}) {
      const int side = root(rows - token);
      if (side < 1 || side * side != rows - token) continue;
      if (token == 0) c_.positions = Positions::learned;
      c_.image_height = c_.image_width = side * c_.patch;
      return;
    }
  }

  void decoder() {
    c_.decoder_dim = size("mask_token", 3, 2);
    c_.decoder_depth = blocks("decoder_blocks");
    c_.decoder_embed = weights_.find("decoder_embed.weight") != nullptr;
    c_.decoder_norm = weights_.find("decoder_norm.weight") != nullptr;
    if (size("decoder_pred.weight", 2, 0) != c_.patch_values())
      refuse(fmt::format("its decoder predicts {} values for patches of {}", size("decoder_pred.weight", 2, 0),
                         c_.patch_values()));
    c_.decoder_heads = c_.decoder_dim == 512 ? 16 : c_.decoder_dim % 32 == 0 ? c_.decoder_dim / 32 : 0;
    if (c_.decoder_heads > 0 && c_.decoder_dim != 512)
      guesses_.push_back(
          {"decoder_num_attention_heads",
           fmt::format("attention heads of the decoder are not in the file: {}, of 32 dims each, are taken",
                       c_.decoder_heads)});
    guesses_.push_back(
        {"norm_pix_loss",
         "whether the decoder predicts normalised pixels is not in the file: plain ones are taken (--norm-pix: of the "
         "released files, those named mae_pretrain_*_full)"});
  }

  const Weights& weights_;
  std::vector<Guess>& guesses_;
  Config c_;
};

/// config.json of transformers, beside the file.
class FromJson {
 public:
  FromJson(std::string path, Config& config) : path_(std::move(path)), c_(config) {
    json_ = engine::parse_json(engine::read_file(path_), path_);
  }

  /// `decoder`: whether the weights have one, whose sizes are then theirs.
  void read(bool decoder) {
    try {
      read_model(decoder);
      pixels();
    } catch (const kernels::Error& error) {
      if (error.where().find(".json") != std::string::npos) throw;
      throw kernels::Error(error.where() + ": " + error.fact(), path_);
    }
  }

  bool says(const char* key) const { return json_.find(key) != nullptr; }
  bool knows_pixels() const { return knows_pixels_; }

  std::vector<std::string> classes(std::int64_t K) const {
    std::vector<std::string> names;
    const Json* labels = json_.find("id2label");
    if (!labels || labels->kind != Json::Kind::object || static_cast<std::int64_t>(labels->items.size()) != K)
      return {};
    for (std::int64_t k = 0; k < K; ++k) {
      const Json& next = labels->items[static_cast<std::size_t>(k)];
      const Json* name = next.key == std::to_string(k) ? &next : labels->find(std::to_string(k));
      if (!name || name->kind != Json::Kind::string) return {};
      names.push_back(name->text);
    }
    return names;
  }

 private:
  void read_model(bool decoder) {
    if (const Json* act = json_.find("hidden_act"); act && act->as_string() != "gelu")
      throw kernels::Error("its MLPs use \"" + act->as_string() + "\", and GELU is the only one here", path_);
    number("num_attention_heads", c_.heads);
    number("decoder_num_attention_heads", c_.decoder_heads);
    number("layer_norm_eps", c_.ln_eps);
    number("mask_ratio", c_.mask_ratio);
    if (const Json* norm = json_.find("norm_pix_loss")) c_.norm_pix = norm->as_bool();
    if (!decoder) {
      number("decoder_hidden_size", c_.decoder_dim);
      number("decoder_num_hidden_layers", c_.decoder_depth);
    }
    const std::vector<int> sides = sides_of(json_.find("image_size"));
    if (!sides.empty()) c_.image_height = sides.front(), c_.image_width = sides.back();
  }

  void number(const char* key, int& value) const {
    if (const Json* found = json_.find(key)) value = whole(*found);
  }
  void number(const char* key, double& value) const {
    if (const Json* found = json_.find(key)) value = found->as_double();
  }
  int whole(const Json& json) const {
    const std::int64_t n = json.as_int();
    if (n < 1 || n > 1 << 24) throw kernels::Error(fmt::format("\"{}\" is {}", json.key, n), path_);
    return static_cast<int>(n);
  }
  std::vector<int> sides_of(const Json* size) const {
    if (!size || size->kind == Json::Kind::null) return {};
    if (size->kind == Json::Kind::integer) return {whole(*size)};
    std::vector<int> sides;
    for (const Json& side : size->as_array()) sides.push_back(whole(side));
    if (sides.size() != 2) throw kernels::Error("\"image_size\" is neither a number nor two", path_);
    return sides;
  }

  /// preprocessor_config.json: what pixels are scaled by.
  void pixels() {
    const fs::path path = fs::path(path_).parent_path() / "preprocessor_config.json";
    std::error_code ignored;
    knows_pixels_ = fs::exists(path, ignored);
    if (!knows_pixels_) return;
    const Json json = engine::parse_json(engine::read_file(path.string()), path.string());
    const auto numbers = [&](const char* key, std::vector<double>& values) {
      const Json* list = json.find(key);
      if (!list || list->kind != Json::Kind::array) return;
      values.clear();
      for (const Json& value : list->as_array()) values.push_back(value.as_double());
    };
    const auto off = [&](const char* key) {
      const Json* wanted = json.find(key);
      return wanted && wanted->kind == Json::Kind::boolean && !wanted->as_bool();
    };
    numbers("image_mean", c_.mean);
    numbers("image_std", c_.std);
    if (off("do_normalize")) c_.mean = {0}, c_.std = {1};
    if (off("do_rescale")) c_.value_range = {1};
    const Json* factor = json.find("rescale_factor");
    if (!factor || off("do_rescale")) return;
    if (!(factor->as_double() > 0)) throw kernels::Error("\"rescale_factor\" is not positive", path.string());
    c_.value_range = {std::round(1e6 / factor->as_double()) / 1e6};
  }

  std::string path_;
  Config& c_;
  Json json_;
  bool knows_pixels_ = false;
};

std::optional<FromJson> json_beside(const Weights& weights, Config& config) {
  const bool named = weights.names().naming != Naming::official && weights.names().naming != Naming::mmpretrain;
  const fs::path path = fs::path(weights.path()).parent_path() / "config.json";
  std::error_code ignored;
  if (!named || !fs::exists(path, ignored)) return std::nullopt;
  return FromJson(path.string(), config);
}

/// A head of K classes over the tokens that a norm before it tells.
ClassifierConfig classifier_of(const Weights& weights, const Config& encoder, const std::optional<FromJson>& json,
                               std::vector<std::string>& notes) {
  ClassifierConfig c{.encoder = encoder, .classes = {}};
  const WeightEntry *linear = weights.find("head.weight"), *probe = weights.find("head.1.weight");
  const WeightEntry& head = linear ? *linear : *probe;
  if (head.shape.size() != 2 || head.shape[0] < 1 || head.shape[0] > 1 << 20)
    throw kernels::Error("its head is no matrix of classes", weights.path());
  c.head = linear ? Head::linear : Head::probe;
  c.pooling = weights.find("fc_norm.weight") ? Pooling::mean : Pooling::cls;
  if (json) c.classes = json->classes(head.shape[0]);
  if (c.classes.empty()) {
    for (std::int64_t k = 0; k < head.shape[0]; ++k) c.classes.push_back(std::to_string(k));
    notes.push_back(
        fmt::format("the names of the {} classes are not in the file: they are those of the images, in "
                    "alphabetical order",
                    c.classes.size()));
  }
  return c;
}

/// A file of ours that another program wrote anew keeps its config.
bool has_config(const engine::Text& metadata) { return metadata.contains("config.dim"); }

}  // namespace

void add_config(const Weights& weights, engine::Text& metadata, std::vector<std::string>& notes) {
  if (has_config(metadata)) return;
  std::vector<Guess> guesses;
  Config config = FromShapes(weights, guesses).config();
  std::optional<FromJson> json = json_beside(weights, config);
  if (json) json->read(weights.has_decoder());
  for (Guess& guess : guesses) {
    if (!json || !json->says(guess.key)) notes.push_back(std::move(guess.text));
  }
  if (config.channels != 3 && !(json && json->knows_pixels())) {
    config.mean = config.std = {0.5};
    notes.push_back("mean and deviation of the pixels are not in the file: 0.5 and 0.5 are taken");
  }
  const bool classifies = weights.find("head.weight") || weights.find("head.1.weight");
  metadata.merge(classifies ? classifier_metadata(classifier_of(weights, config, json, notes))
                            : config_metadata(config));
}

}  // namespace mae
