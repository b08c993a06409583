// Initial values against the bounds of notes/recipes.md 1.8, drawn at ViT-B's sizes in f64.
#include "mae/init.h"

#include <algorithm>
#include <cmath>

#include "mae/model.h"
#include "mae/positions.h"
#include "tests/support/session.h"

using namespace test;

namespace {

struct Drawn {
  explicit Drawn(mae::Config config) : model((config.depth = config.decoder_depth = 1, config), DType::f64) {
    model.initialize(stream, 5, Purpose::inference);
  }
  std::vector<double> values(const std::string& name) {
    auto& parameters = model.parameters();
    const Parameter p = parameters.at(name);
    return Session::values(parameters.part(parameters.master(), p.index, {p.value().shape.count()}));
  }
  kernels::Stream stream{kernels::devices().front()};
  mae::Model model;
};

double largest(const std::vector<double>& v) {
  double most = 0;
  for (double x : v) most = std::max(most, std::abs(x));
  return most;
}

double deviation(const std::vector<double>& v) {
  double squares = 0;
  for (double x : v) squares += x * x;
  return std::sqrt(squares / static_cast<double>(v.size()));
}

/// U(-bound, bound): fills its range and has its variance.
void is_uniform(const std::vector<double>& v, double bound) {
  CHECK(largest(v) <= bound);
  CHECK(largest(v) > 0.98 * bound);
  CHECK(deviation(v) == Approx(bound / std::sqrt(3)).epsilon(v.size() > 10000 ? 0.01 : 0.1));
}

bool all(const std::vector<double>& v, double value) {
  return std::all_of(v.begin(), v.end(), [&](double x) { return x == value; });
}

}  // namespace

TEST_CASE("official initial values of ViT-B") {
  Drawn drawn(mae::preset("mae_vit_base_patch16"));
  const std::pair<const char*, double> uniform[] = {{"patch_embed.proj.weight", std::sqrt(6.0 / (768 + 768))},
                                                    {"patch_embed.proj.bias", 1 / std::sqrt(768.0)},
                                                    {"blocks.0.attn.qkv.weight", std::sqrt(6.0 / (4 * 768))},
                                                    {"blocks.0.attn.proj.weight", std::sqrt(6.0 / (2 * 768))},
                                                    {"blocks.0.mlp.fc1.weight", std::sqrt(6.0 / (5 * 768))},
                                                    {"blocks.0.mlp.fc2.weight", std::sqrt(6.0 / (5 * 768))},
                                                    {"decoder_embed.weight", std::sqrt(6.0 / (768 + 512))},
                                                    {"decoder_pred.weight", std::sqrt(6.0 / (768 + 512))}};
  for (const auto& [name, bound] : uniform) {
    INFO(name);
    is_uniform(drawn.values(name), bound);
  }
  for (const char* token : {"cls_token", "mask_token"}) {
    INFO(token);
    CHECK(deviation(drawn.values(token)) == Approx(0.02).epsilon(0.15));
  }
  for (const char* zero : {"blocks.0.attn.qkv.bias", "blocks.0.mlp.fc1.bias", "decoder_embed.bias", "decoder_pred.bias",
                           "blocks.0.norm1.bias", "norm.bias", "decoder_norm.bias"})
    CHECK(all(drawn.values(zero), 0));
  for (const char* one : {"blocks.0.norm1.weight", "blocks.0.norm2.weight", "norm.weight", "decoder_norm.weight"})
    CHECK(all(drawn.values(one), 1));
  CHECK(drawn.values("pos_embed") == mae::sincos_positions(768, 14, 14));
  CHECK(drawn.values("decoder_pos_embed") == mae::sincos_positions(512, 14, 14));
  CHECK(drawn.values("blocks.0.mlp.fc1.weight") != drawn.values("blocks.0.mlp.fc2.weight"));
}

TEST_CASE("PyTorch's defaults: every weight and bias U(+-1 / sqrt(fan in))") {
  mae::Config config = mae::preset("mae_vit_base_patch16");
  config.init = mae::Init::pytorch;
  config.positions = mae::Positions::learned;
  Drawn drawn(config);
  for (const char* layer : {"patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.proj", "decoder_embed"}) {
    INFO(layer);
    is_uniform(drawn.values(std::string(layer) + ".weight"), 1 / std::sqrt(768.0));
    is_uniform(drawn.values(std::string(layer) + ".bias"), 1 / std::sqrt(768.0));
  }
  is_uniform(drawn.values("blocks.0.mlp.fc2.weight"), 1 / std::sqrt(4 * 768.0));
  is_uniform(drawn.values("decoder_pred.bias"), 1 / std::sqrt(512.0));
  CHECK(deviation(drawn.values("pos_embed")) == Approx(0.02).epsilon(0.02));
}

TEST_CASE("decay leaves out 1-D tensors and biases, not the tokens; frozen positions are not trained") {
  const mae::Model model(mae::preset("mae_vit_tiny_patch16"), DType::f32);
  for (const Segment& s : model.parameters().segments()) {
    INFO(s.name);
    CHECK((s.decay == Decay::yes) == (s.shape.rank > 1));
    CHECK((s.trainable == Trainable::no) == s.name.ends_with("pos_embed"));
  }
}
