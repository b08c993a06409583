#include "mae/config.h"

#include <algorithm>

#include "kernels/core/check.h"

namespace mae {
namespace {

struct Size {
  const char* name;
  int patch, dim, depth, heads;
};

// ViT sizes: tiny and small from DeiT (Touvron et al. 2021), the others from MAE. The decoder is 512 x 8, 16 heads for
// all of MAE's.
constexpr Size sizes[] = {
    {"mae_vit_tiny_patch16", 16, 192, 12, 3},   {"mae_vit_small_patch16", 16, 384, 12, 6},
    {"mae_vit_base_patch16", 16, 768, 12, 12},  {"mae_vit_large_patch16", 16, 1024, 24, 16},
    {"mae_vit_huge_patch14", 14, 1280, 32, 16},
};

void require(bool ok, const std::string& key, const std::string& what, const std::string& advice) {
  if (!ok) throw kernels::Error(what, key, advice);
}

std::string text(std::int64_t n) { return std::to_string(n); }

std::string kept(const Config& c) {
  return "a ratio of " + std::to_string(c.mask_ratio) + " keeps " + text(c.keep()) + " of " + text(c.patches()) +
         " patches";
}

}  // namespace

Config preset(const std::string& name) {
  for (const Size& size : sizes) {
    if (name != size.name) continue;
    Config config;
    config.preset = name;
    config.patch = size.patch;
    config.dim = size.dim;
    config.depth = size.depth;
    config.heads = size.heads;
    return config;
  }
  std::string names;
  for (const Size& size : sizes) names += (names.empty() ? "" : ", ") + std::string(size.name);
  throw kernels::Error("there is no such model", name, "one of " + names);
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Size& size : sizes) names.emplace_back(size.name);
  return names;
}

void validate(const Config& c) {
  require(c.channels >= 1 && c.channels <= 64, "channels", text(c.channels) + " channels", "1 to 64");
  require(c.patch > 0 && c.image_height > 0 && c.image_width > 0, "patch, image_height, image_width",
          "sizes must be positive", "");
  require(c.image_height % c.patch == 0 && c.image_width % c.patch == 0, "patch",
          "a patch of " + text(c.patch) + " does not divide an image of " + text(c.image_height) + " x " +
              text(c.image_width),
          "--patch with a divisor of both, or another --image-size");
  require(c.dim > 0 && c.heads > 0 && c.dim % c.heads == 0, "heads",
          text(c.heads) + " heads do not divide dim " + text(c.dim), "");
  require(c.decoder_dim > 0 && c.decoder_heads > 0 && c.decoder_dim % c.decoder_heads == 0, "decoder_heads",
          text(c.decoder_heads) + " heads do not divide decoder_dim " + text(c.decoder_dim), "");
  require(c.patches() <= 1 << 24 && c.patch_values() <= 1 << 24 && std::max(c.dim, c.decoder_dim) <= 1 << 16 &&
              std::max(c.depth, c.decoder_depth) <= 1024 && c.mlp_ratio <= 64,
          "sizes", "at most 2^24 patches of 2^24 values, 65536 dims, 1024 blocks and an mlp_ratio of 64 are possible",
          "");
  require(!c.norm_pix || c.patch_values() >= 2, "norm_pix", "a patch of one value has no variance to divide by",
          "--no-norm-pix, or a larger patch");
  require(c.depth >= 1 && c.decoder_depth >= 0, "depth, decoder_depth", "there must be an encoder block", "");
  require(c.positions == Positions::learned || (c.dim % 4 == 0 && c.decoder_dim % 4 == 0), "dim, decoder_dim",
          "2-D sine-cosine positions need dims that 4 divides", "or positions = \"learned\"");
  require(c.decoder_embed || c.dim == c.decoder_dim, "decoder_embed",
          "without a projection the decoder must have the encoder's dim", "");
  require(c.mask_ratio >= 0 && c.mask_ratio < 1 && c.keep() >= 1, "mask_ratio", kept(c),
          "a ratio that keeps at least one patch");
  if (c.mask_ratio > 0) require_masked(c);
  require(c.mlp_ratio > 0 && c.ln_eps > 0, "mlp_ratio, ln_eps", "must be positive", "");
  const double hidden = c.mlp_ratio * std::min(c.dim, c.decoder_dim);
  require(hidden >= 1, "mlp_ratio", "leaves an MLP without a hidden unit", "4, as in the paper");
  const auto per_channel = [&](const std::vector<double>& v) {
    return v.size() == 1 || v.size() == static_cast<std::size_t>(c.channels);
  };
  require(per_channel(c.mean) && per_channel(c.std) && per_channel(c.value_range), "mean, std, value_range",
          "one number, or one for each of the " + text(c.channels) + " channels", "");
  for (double s : c.std) require(s > 0, "std", "must be positive", "");
  for (double r : c.value_range) require(r > 0, "value_range", "must be positive", "");
}

void require_masked(const Config& c) {
  require(c.keep() < c.patches(), "mask_ratio", kept(c), "a ratio that masks at least one patch");
}

double official_training_flops(const Config& c) {
  const auto block = [&](double n, double D) { return n * (4 + 2 * c.mlp_ratio) * D * D + 2 * n * n * D; };
  const double L = static_cast<double>(c.patches()), kept = static_cast<double>(c.keep()) + 1,
               values = static_cast<double>(c.patch_values());
  const double D = c.dim, E = c.decoder_dim;
  const double embed = L * values * D;
  const double rest = c.depth * block(kept, D) + (c.decoder_embed ? kept * D * E : 0) +
                      c.decoder_depth * block(L + 1, E) + (L + 1) * E * values;
  return 2 * (2 * embed + 3 * rest);
}

}  // namespace mae
