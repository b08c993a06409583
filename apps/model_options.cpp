#include "apps/model_options.h"

#include <algorithm>
#include <limits>

#include "mae/config_text.h"

namespace apps {
namespace {

struct AddField {
  OptionTable& options;
  mae::Config& config;
  const mae::ConfigField& field;

  template <class T>
  void operator()(T mae::Config::*member) const {
    options.add(field.key, config.*member, field.help);
  }
  void operator()(const mae::NamedChoice& choice) const {
    const auto get = [&c = config, choice] { return Value(choice.names[static_cast<std::size_t>(choice.get(c))]); };
    const auto set = [&c = config, choice](const Value& value) {
      for (std::size_t i = 0; i < choice.names.size(); ++i) {
        if (choice.names[i] == std::get<std::string>(value)) choice.set(c, static_cast<int>(i));
      }
      return std::string();
    };
    options.add(field.key, field.help, get, set).one_of(choice.names).shown_as("NAME");
  }
};

}  // namespace

void add_image_size_option(OptionTable& options, mae::Config& config) {
  const auto get = [&config] {
    std::vector<double> size{static_cast<double>(config.image_height)};
    if (config.image_width != config.image_height) size.push_back(config.image_width);
    return Value(size);
  };
  const auto set = [&config](const Value& value) -> std::string {
    const auto& size = std::get<std::vector<double>>(value);
    if (size.empty() || size.size() > 2) return "one number, or two: height,width";
    for (double side : size) {
      if (side < 1 || side > std::numeric_limits<int>::max() || side != static_cast<int>(side))
        return "sides are whole and positive";
    }
    config.image_height = static_cast<int>(size.front());
    config.image_width = static_cast<int>(size.back());
    return {};
  };
  options.add("image_size", "pixels: one number, or height,width", get, set).shown_as("N[,N]");
}

namespace {

/// The rule for initial values, or a file of weights.
void add_init_option(OptionTable& options, mae::Config& config, const mae::ConfigField& field, std::string& file) {
  const mae::NamedChoice rule = std::get<mae::NamedChoice>(field.member);
  const auto get = [&config, &file, rule] {
    return Value(file.empty() ? rule.names[static_cast<std::size_t>(rule.get(config))] : file);
  };
  const auto set = [&config, &file, rule](const Value& value) {
    const auto& text = std::get<std::string>(value);
    const auto named = std::find(rule.names.begin(), rule.names.end(), text);
    file = named == rule.names.end() ? text : "";
    if (named != rule.names.end()) rule.set(config, static_cast<int>(named - rule.names.begin()));
    return std::string();
  };
  options
      .add(
          field.key,
          "initial values: xavier; pytorch, the defaults of its layers; or those of a file of weights, whose sizes are "
          "then the model's (docs/weights.md)",
          get, set)
      .shown_as("xavier|pytorch|FILE");
}

/// `wanted`: of which fields alone; none: all.
void add_fields(OptionTable& options, mae::Config& config, const std::vector<std::string>& wanted,
                std::string* init_file = nullptr) {
  for (const mae::ConfigField& field : mae::config_fields()) {
    const std::string key = field.key;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), key) == wanted.end()) continue;
    if (key == "preset") {
      options.add("model", config.preset, field.help).one_of(mae::preset_names()).shown_as("NAME");
      options.on_key("model", [&config] { config = mae::preset(config.preset); });
    } else if (key == "image_height") {
      add_image_size_option(options, config);
    } else if (key == "init" && init_file) {
      add_init_option(options, config, field, *init_file);
    } else if (key != "image_width") {
      std::visit(AddField{options, config, field}, field.member);
    }
  }
}

}  // namespace

void add_model_options(OptionTable& options, mae::Config& config, std::string* init_file) {
  options.group("Model");
  add_fields(options, config, {}, init_file);
}

void add_stated_options(OptionTable& options, mae::Config& config) {
  options.group("Model, where the file does not say it, or it is to be another one");
  add_fields(
      options, config,
      {"image_height", "heads", "decoder_heads", "mask_ratio", "norm_pix", "mean", "std", "value_range", "ln_eps"});
}

void add_interpolation_option(OptionTable& options, std::string& interpolation) {
  options
      .add("interpolation", interpolation,
           "with another --image-size, how positions come about; transformers: as its ViTMAE does it, whose decoder "
           "interpolates along the row of all patches")
      .one_of({"grid", "transformers"});
}

kernels::DType compute_type(const std::string& name) {
  return name == "f64" ? kernels::DType::f64 : name == "bf16" ? kernels::DType::bf16 : kernels::DType::f32;
}

void add_execution_options(OptionTable& options, mae::Execution& execution) {
  options.group("Execution: the same numbers, but for rounding, with less work");
  for (const mae::ExecutionField& field : mae::execution_fields())
    options.add(field.key, execution.*field.member, field.help);
}

engine::Json execution_json(const mae::Execution& execution) {
  engine::Json json = engine::Json::object({});
  for (const mae::ExecutionField& field : mae::execution_fields()) json.add(field.key, execution.*field.member);
  return json;
}

}  // namespace apps
