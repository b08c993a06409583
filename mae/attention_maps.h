// What each token of an image looks at: the attention of every head of every encoder block.
#pragma once

#include <cstdint>
#include <vector>

#include "mae/encoder.h"
#include "mae/loader.h"

namespace mae {

/// Of one image, all of its patches visible. Token 0 is the class token; the others are the patches, row by row.
struct AttentionMaps {
  std::int64_t heads = 0, tokens = 0;
  std::vector<std::vector<float>> blocks;  // (heads, tokens, tokens) each: a row for each query, which sums to 1

  /// The row of one query.
  std::span<const float> row(std::size_t block, std::int64_t head, std::int64_t query) const {
    return std::span(blocks[block])
        .subspan(static_cast<std::size_t>((head * tokens + query) * tokens), static_cast<std::size_t>(tokens));
  }
};

/// softmax(q k^T / sqrt(D)) (Vaswani et al. 2017, equation 1), in f64 from queries and keys in `compute`. `batch` holds
/// one image, `pixels` being its dtype.
AttentionMaps attention_maps(kernels::Stream& stream, const Encoder& encoder, const Config& config,
                             kernels::DType compute, const Batch& batch, kernels::DType pixels);

}  // namespace mae
