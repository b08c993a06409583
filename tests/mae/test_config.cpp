#include "mae/config.h"

#include "kernels/core/check.h"
#include "mae/config_text.h"
#include "tests/support/catch.h"

using mae::Config;

namespace {

/// A config in which no field has its default.
Config unusual() {
  Config c = mae::preset("mae_vit_tiny_patch16");
  c.image_height = 60;
  c.image_width = 36;
  c.channels = 2;
  c.patch = 12;
  c.mean = {0.1, 1.0 / 3};
  c.std = {0.7, 5e-324};
  c.value_range = {65535, 1e300};
  c.dim = c.decoder_dim = 40;
  c.depth = 3;
  c.heads = 5;
  c.decoder_depth = 2;
  c.decoder_heads = 4;
  c.mlp_ratio = 2.0 / 3;
  c.mask_ratio = 0.6000000000000001;
  c.norm_pix = true;
  c.qkv_bias = false;
  c.ln_eps = 1e-5;
  c.positions = mae::Positions::learned;
  c.decoder_embed = false;
  c.decoder_norm = false;
  c.patch_order = kernels::PatchOrder::channel_row_column;
  c.init = mae::Init::pytorch;
  c.decay = mae::DecayRule::all;
  return c;
}

void refuses(const Config& config, const std::string& words) {
  CHECK_THROWS_WITH(mae::validate(config), ContainsSubstring(words));
}

}  // namespace

// notes/recipes.md 1.1: double arithmetic, truncated.
TEST_CASE("patches kept, as the official code counts them") {
  constexpr int of_196[] = {176, 156, 137, 117, 98, 78, 58, 49, 39, 19},
                of_256[] = {230, 204, 179, 153, 128, 102, 76, 64, 51, 25};
  constexpr double ratios[] = {.1, .2, .3, .4, .5, .6, .7, .75, .8, .9};
  Config base, huge = mae::preset("mae_vit_huge_patch14");
  REQUIRE(base.patches() == 196);
  REQUIRE(huge.patches() == 256);
  for (std::size_t i = 0; i < 10; ++i) {
    INFO("ratio " << ratios[i]);
    base.mask_ratio = huge.mask_ratio = ratios[i];
    CHECK(base.keep() == of_196[i]);
    CHECK(huge.keep() == of_256[i]);
  }
}

TEST_CASE("presets are valid, and an unknown one is named beside those that there are") {
  CHECK(mae::preset_names().size() == 5);
  for (const std::string& name : mae::preset_names()) {
    CHECK_NOTHROW(mae::validate(mae::preset(name)));
    CHECK(mae::preset(name).preset == name);
  }
  CHECK_THROWS_WITH(mae::preset("vit"), ContainsSubstring("vit"));
}

TEST_CASE("official training FLOPs per image") {
  const auto gflop = [](const char* name) { return mae::official_training_flops(mae::preset(name)) * 1e-9; };
  CHECK(gflop("mae_vit_base_patch16") == Approx(58.46).epsilon(1e-3));
  CHECK(gflop("mae_vit_large_patch16") == Approx(124.23).epsilon(1e-3));
  CHECK(gflop("mae_vit_huge_patch14") == Approx(290.99).epsilon(1e-3));
}

TEST_CASE("what cannot be is refused by its key") {
  const auto with = [](auto change) {
    Config c;
    change(c);
    return c;
  };
  CHECK_NOTHROW(mae::validate(unusual()));
  refuses(with([](Config& c) { c.channels = 65; }), "channels");
  refuses(with([](Config& c) { c.patch = 15; }), "a patch of 15 does not divide an image of 224 x 224");
  refuses(with([](Config& c) { c.patch = 0; }), "patch");
  refuses(with([](Config& c) { c.heads = 7; }), "7 heads do not divide dim 768");
  refuses(with([](Config& c) { c.decoder_heads = 5; }), "decoder_heads");
  refuses(with([](Config& c) { c.depth = 0; }), "depth");
  refuses(with([](Config& c) { c.dim = 6, c.heads = 1; }), "4 divides");
  refuses(with([](Config& c) { c.decoder_embed = false; }), "decoder_embed");
  refuses(with([](Config& c) { c.mask_ratio = 1; }), "mask_ratio");
  refuses(with([](Config& c) { c.mask_ratio = -0.1; }), "mask_ratio");
  refuses(with([](Config& c) { c.mask_ratio = 1e-18; }), "keeps 196 of 196 patches");
  refuses(with([](Config& c) { c.mask_ratio = 0.999; }), "keeps 0 of 196 patches");
  refuses(with([](Config& c) { c.mean = {0, 0}; }), "one for each of the 3 channels");
  refuses(with([](Config& c) { c.std = {0}; }), "std");
  refuses(with([](Config& c) { c.value_range = {-1}; }), "value_range");
  refuses(with([](Config& c) { c.ln_eps = 0; }), "ln_eps");
}

TEST_CASE("a config goes to text and comes back with the same bits") {
  const Config c = unusual(), back = mae::config_from_text(mae::to_text(c), "a.safetensors");
  const auto text = mae::to_text(c), plain = mae::to_text(Config{});
  CHECK(mae::to_text(back) == text);
  for (const auto& [key, value] : text) {
    INFO(key);
    CHECK(value != plain.at(key));  // so a field that was not carried would show
  }
  CHECK(back.mean == c.mean);
  CHECK(back.std == c.std);
  CHECK(back.value_range == c.value_range);
  CHECK(back.mask_ratio == c.mask_ratio);
  CHECK(back.mlp_ratio == c.mlp_ratio);
  CHECK(text.at("patch_order") == "channel_row_column");
  CHECK(text.at("ln_eps") == "1e-05");
}

TEST_CASE("text that is no config is refused with file and key") {
  const auto refuses_text = [](auto change, const char* words) {
    auto text = mae::to_text(Config{});
    change(text);
    CHECK_THROWS_WITH(mae::config_from_text(text, "a.safetensors"),
                      ContainsSubstring("a.safetensors") && ContainsSubstring(words));
  };
  refuses_text([](auto& t) { t.erase("heads"); }, "no key \"heads\"");
  refuses_text([](auto& t) { t["head"] = "3"; }, "unknown key \"head\"");
  refuses_text([](auto& t) { t["heads"] = "3x"; }, "\"heads\" cannot be \"3x\"");
  refuses_text([](auto& t) { t["heads"] = "99999999999"; }, "\"heads\"");
  refuses_text([](auto& t) { t["ln_eps"] = "nan"; }, "\"ln_eps\"");
  refuses_text([](auto& t) { t["mean"] = "0.5,,0.5"; }, "\"mean\"");
  refuses_text([](auto& t) { t["mean"] = ""; }, "\"mean\"");
  refuses_text([](auto& t) { t["norm_pix"] = "1"; }, "\"norm_pix\"");
  refuses_text([](auto& t) { t["init"] = "zeros"; }, "\"init\"");
}
