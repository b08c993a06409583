// Maps of attention as people look at them: over the image, black for none, the brighter the more.
#pragma once

#include <string>
#include <vector>

#include "apps/canvas.h"
#include "mae/attention_maps.h"

namespace apps {

/// Whose attention is shown.
struct Query {
  enum class Kind { class_token, every_patch, patch } kind = Kind::class_token;
  std::int64_t patch = 0;  // of Kind::patch: row by row, from 0
};

/// One row of tiles: the image, the mean of all heads, each head. `image` has the model's size, of whose patches there
/// are `across` in a row; the patch asked about is framed. A tile is drawn in units of its own largest value.
std::vector<Canvas> attention_tiles(const Canvas& image, const mae::AttentionMaps& maps, std::size_t block,
                                    const Query& query, int across);

}  // namespace apps
