#include "mae/config_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/number.h"
#include "kernels/core/check.h"

namespace mae {
namespace {

/// The text of a field, or the field from its text; read() is false where the text is not of the field's type.
struct TextOf {
  const Config& config;

  std::string operator()(std::string Config::*m) const { return config.*m; }
  std::string operator()(int Config::*m) const { return fmt::format("{}", config.*m); }
  std::string operator()(double Config::*m) const { return fmt::format("{}", config.*m); }
  std::string operator()(bool Config::*m) const { return config.*m ? "true" : "false"; }
  std::string operator()(std::vector<double> Config::*m) const { return fmt::format("{}", fmt::join(config.*m, ",")); }
  std::string operator()(const NamedChoice& choice) const {
    return choice.names[static_cast<std::size_t>(choice.get(config))];
  }
};

struct ReadText {
  Config& config;
  const std::string& text;

  template <class T>
  bool number(T& value) const {
    const auto parsed = engine::parse_number<T>(text);
    if (parsed) value = *parsed;
    return parsed.has_value();
  }
  bool operator()(std::string Config::*m) const {
    config.*m = text;
    return true;
  }
  bool operator()(int Config::*m) const { return number(config.*m); }
  bool operator()(double Config::*m) const { return number(config.*m); }
  bool operator()(bool Config::*m) const {
    config.*m = text == "true";
    return text == "true" || text == "false";
  }
  bool operator()(std::vector<double> Config::*m) const {
    (config.*m).clear();
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find(',', at), text.size());
      const auto value = engine::parse_number<double>(text.substr(at, end - at));
      if (!value) return false;
      (config.*m).push_back(*value);
      at = end + 1;
    }
    return true;
  }
  bool operator()(const NamedChoice& choice) const {
    const auto found = std::find(choice.names.begin(), choice.names.end(), text);
    if (found == choice.names.end()) return false;
    choice.set(config, static_cast<int>(found - choice.names.begin()));
    return true;
  }
};

template <auto member>
NamedChoice named(std::vector<std::string> names) {
  return {std::move(names), [](const Config& c) { return static_cast<int>(c.*member); },
          [](Config& c, int i) { c.*member = static_cast<std::remove_reference_t<decltype(c.*member)>>(i); }};
}

}  // namespace

const std::vector<ConfigField>& config_fields() {
  static const std::vector<ConfigField> fields{
      {"preset", "sizes to start from; each can be overridden", &Config::preset},
      {"image_height", "pixels", &Config::image_height},
      {"image_width", "pixels", &Config::image_width},
      {"channels", "of an image, 1 to 64", &Config::channels},
      {"patch", "side of a patch in pixels; divides height and width", &Config::patch},
      {"mean", "per channel, or one for all, as parts of value_range", &Config::mean},
      {"std", "per channel, or one for all, as parts of value_range", &Config::std},
      {"value_range", "pixel value that counts as 1, per channel or one for all", &Config::value_range},
      {"dim", "width of the encoder", &Config::dim},
      {"depth", "blocks of the encoder", &Config::depth},
      {"heads", "attention heads of the encoder", &Config::heads},
      {"decoder_dim", "width of the decoder", &Config::decoder_dim},
      {"decoder_depth", "blocks of the decoder", &Config::decoder_depth},
      {"decoder_heads", "attention heads of the decoder", &Config::decoder_heads},
      {"mlp_ratio", "hidden width of an MLP, as a multiple of dim", &Config::mlp_ratio},
      {"mask_ratio", "part of the patches that is hidden from the encoder", &Config::mask_ratio},
      {"norm_pix", "predict pixels normalised per patch", &Config::norm_pix},
      {"qkv_bias", "bias of the query, key and value projection", &Config::qkv_bias},
      {"ln_eps", "epsilon of LayerNorm", &Config::ln_eps},
      {"positions", "position table", named<&Config::positions>({"sincos", "learned"})},
      {"decoder_embed", "projection between encoder and decoder", &Config::decoder_embed},
      {"decoder_norm", "LayerNorm before the prediction", &Config::decoder_norm},
      {"patch_order", "order of the values of a predicted patch",
       named<&Config::patch_order>({"row_column_channel", "channel_row_column"})},
      {"init", "initial values; pytorch: the defaults of its layers", named<&Config::init>({"xavier", "pytorch"})},
      {"decay", "weight decay; official: none for 1-D tensors and biases", named<&Config::decay>({"official", "all"})}};
  return fields;
}

std::map<std::string, std::string> to_text(const Config& config) {
  std::map<std::string, std::string> text;
  for (const ConfigField& field : config_fields()) text[field.key] = std::visit(TextOf{config}, field.member);
  return text;
}

Config config_from_text(const std::map<std::string, std::string>& text, const std::string& where) {
  Config config;
  for (const ConfigField& field : config_fields()) {
    const auto found = text.find(field.key);
    if (found == text.end()) {
      throw kernels::Error(fmt::format("the model config has no key \"{}\"", field.key), where);
    }
    if (!std::visit(ReadText{config, found->second}, field.member)) {
      throw kernels::Error(fmt::format("the model config's key \"{}\" cannot be \"{}\"", field.key, found->second),
                           where);
    }
  }
  for (const auto& entry : text) {
    const auto& fields = config_fields();
    if (std::none_of(fields.begin(), fields.end(), [&](const ConfigField& f) { return entry.first == f.key; })) {
      throw kernels::Error(fmt::format("the model config has the unknown key \"{}\"", entry.first), where,
                           "a newer mae");
    }
  }
  return config;
}

}  // namespace mae
