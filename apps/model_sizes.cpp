#include "apps/model_sizes.h"

#include <fmt/core.h>

#include "mae/config_text.h"

namespace apps {

using engine::Json;

std::string model_name(const mae::Config& c) {
  if (mae::to_text(c) == mae::to_text(mae::preset(c.preset))) return c.preset;
  return fmt::format("{}x{}x{} patch {}, {} x {}, decoder {} x {}", c.image_height, c.image_width, c.channels, c.patch,
                     c.depth, c.dim, c.decoder_depth, c.decoder_dim);
}

Json model_sizes(const mae::Config& c, std::int64_t parameters) {
  return Json::object({{"model", model_name(c)},
                       {"image_height", c.image_height},
                       {"image_width", c.image_width},
                       {"channels", c.channels},
                       {"patch", c.patch},
                       {"dim", c.dim},
                       {"depth", c.depth},
                       {"heads", c.heads},
                       {"mlp_ratio", c.mlp_ratio},
                       {"decoder_dim", c.decoder_dim},
                       {"decoder_depth", c.decoder_depth},
                       {"decoder_heads", c.decoder_heads},
                       {"mask_ratio", c.mask_ratio},
                       {"keep", c.keep()},
                       {"norm_pix", c.norm_pix},
                       {"ln_eps", c.ln_eps},
                       {"qkv_bias", c.qkv_bias},
                       {"parameters", parameters},
                       {"flops", mae::official_training_flops(c)}});
}

}  // namespace apps
