#include "mae/transformers_config.h"

#include <cmath>

namespace mae {
namespace {

using engine::Json;

Json sides(const Config& c) {
  if (c.image_height == c.image_width) return c.image_height;
  return Json::array({c.image_height, c.image_width});
}

Json config_json(const Config& c, const char* architecture, const char* type) {
  return Json::object({{"architectures", Json::array({architecture})},
                       {"model_type", type},
                       {"attention_probs_dropout_prob", 0.0},
                       {"hidden_act", "gelu"},
                       {"hidden_dropout_prob", 0.0},
                       {"hidden_size", c.dim},
                       {"image_size", sides(c)},
                       {"initializer_range", 0.02},
                       {"intermediate_size", c.mlp_hidden(c.dim)},
                       {"layer_norm_eps", c.ln_eps},
                       {"num_attention_heads", c.heads},
                       {"num_channels", c.channels},
                       {"num_hidden_layers", c.depth},
                       {"patch_size", c.patch},
                       {"qkv_bias", c.qkv_bias}});
}

void add_decoder(Json& json, const Config& c) {
  json.add("decoder_hidden_size", c.decoder_dim);
  json.add("decoder_intermediate_size", c.mlp_hidden(c.decoder_dim));
  json.add("decoder_num_attention_heads", c.decoder_heads);
  json.add("decoder_num_hidden_layers", c.decoder_depth);
  json.add("mask_ratio", c.mask_ratio);
  json.add("norm_pix_loss", c.norm_pix);
}

void add_classes(Json& json, const ClassifierConfig& c) {
  Json names = Json::object({}), numbers = Json::object({});
  for (std::int64_t k = 0; k < c.K(); ++k) {
    const std::string& name = c.classes[static_cast<std::size_t>(k)];
    names.add(std::to_string(k), name);
    numbers.add(name, k);
  }
  json.add("id2label", names);
  json.add("label2id", numbers);
}

/// One number a channel.
Json per_channel(const std::vector<double>& values, int channels) {
  return values.size() == 1 ? Json(std::vector<double>(static_cast<std::size_t>(channels), values[0])) : Json(values);
}

Json preprocessor_json(const Config& c) {
  constexpr int bicubic = 3;  // of Pillow
  return Json::object({{"do_normalize", true},
                       {"do_rescale", true},
                       {"do_resize", true},
                       {"image_mean", per_channel(c.mean, c.channels)},
                       {"image_processor_type", "ViTImageProcessor"},
                       {"image_std", per_channel(c.std, c.channels)},
                       {"resample", bicubic},
                       {"rescale_factor", 1 / c.value_range[0]},
                       {"size", Json::object({{"height", c.image_height}, {"width", c.image_width}})}});
}

}  // namespace

TransformersModel transformers_model(const Config& c, const ClassifierConfig* classifier, bool decoder,
                                     const std::string& path) {
  const auto require = [&](bool ok, const char* what, const char* advice) {
    if (!ok) throw kernels::Error(std::string("transformers has no such model: ") + what, path, advice);
  };
  const char* official = "--format official";
  require(c.positions == Positions::sincos, "its positions have one for the class token", official);
  require(c.value_range.size() == 1, "its pixels are scaled by one number for all channels", official);
  if (classifier) {
    require(classifier->head == Head::linear, "its heads have no batch norm", official);
    require(classifier->pooling == Pooling::cls, "its classifiers see the class token, not the mean of the patches",
            "--format timm");
    TransformersModel model{"vit.", config_json(c, "ViTForImageClassification", "vit"), preprocessor_json(c)};
    add_classes(model.config, *classifier);
    if (classifier->task == Task::multi) model.config.add("problem_type", "multi_label_classification");
    return model;
  }
  if (decoder) {
    require(c.decoder_embed && c.decoder_norm, "its decoder has a projection before it and a norm behind it", official);
    require(c.patch_order == kernels::PatchOrder::row_column_channel,
            "its predictions are in the order row, column, channel", official);
  }
  TransformersModel model{decoder ? "vit." : "",
                          config_json(c, decoder ? "ViTMAEForPreTraining" : "ViTMAEModel", "vit_mae"),
                          preprocessor_json(c)};
  add_decoder(model.config, c);
  return model;
}

}  // namespace mae
