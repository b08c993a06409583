// Configuration of a Masked Autoencoder: sizes, image description, and the structural choices in which recipes differ.
// Defaults are the official recipe's (He et al. 2022). Any size can be overridden.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tokens.h"

namespace mae {

enum class Positions { sincos, learned };
enum class Init { xavier, pytorch };     // pytorch: the defaults of torch.nn.Linear and Conv2d
enum class DecayRule { official, all };  // official: no decay for 1-D tensors and biases; class and mask token decay

struct Config {
  std::string preset = "mae_vit_base_patch16";

  int image_height = 224, image_width = 224, channels = 3;
  int patch = 16;                                                           // P; divides height and width
  std::vector<double> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};  // per channel, as parts of the value range
  std::vector<double> value_range{255};  // pixel value that counts as 1, per channel or one for all

  int dim = 768, depth = 12, heads = 12;
  int decoder_dim = 512, decoder_depth = 8, decoder_heads = 16;
  double mlp_ratio = 4;
  double mask_ratio = 0.75;
  bool norm_pix = false;  // off in the official flags; the released encoders were trained with it on

  bool qkv_bias = true;
  double ln_eps = 1e-6;
  Positions positions = Positions::sincos;
  bool decoder_embed = true;  // false: no projection between encoder and decoder, dims equal
  bool decoder_norm = true;
  kernels::PatchOrder patch_order = kernels::PatchOrder::row_column_channel;  // of target and prediction
  Init init = Init::xavier;
  DecayRule decay = DecayRule::official;

  std::int64_t rows() const { return image_height / patch; }
  std::int64_t columns() const { return image_width / patch; }
  std::int64_t patches() const { return rows() * columns(); }  // L
  std::int64_t patch_values() const { return std::int64_t{patch} * patch * channels; }
  /// Hidden width of an MLP: int(ratio x width), as the official code has it.
  std::int64_t mlp_hidden(int width) const { return static_cast<std::int64_t>(mlp_ratio * width); }
  /// Patches kept visible: int(L (1 - ratio)), in double arithmetic, truncated, as the official code does it.
  std::int64_t keep() const { return static_cast<std::int64_t>(static_cast<double>(patches()) * (1 - mask_ratio)); }
};

/// "mae_vit_{tiny,small,base,large}_patch16", "mae_vit_huge_patch14". Throws kernels::Error naming the presets.
Config preset(const std::string& name);
std::vector<std::string> preset_names();

/// Throws kernels::Error naming the key that cannot be, and what would do. A mask_ratio of 0 hides nothing: good for
/// looking at a model, not for training it.
void validate(const Config& config);
void require_masked(const Config& config);  // throws where nothing is

/// Operations of one training step, per image: 2 per multiply-add; forward + backward of the official code, which
/// embeds all patches and takes no input gradient of the patch embedding (notes: 58.46 / 124.23 / 290.99 G for base,
/// large, huge).
double official_training_flops(const Config& config);

}  // namespace mae
