#include "mae/attention_maps.h"

#include <algorithm>
#include <cmath>

#include "engine/workspace.h"
#include "mae/host_values.h"
#include "mae/input_slots.h"

namespace mae {
namespace {

/// Replaces scores by their softmax.
void softmax(std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - largest);
  for (double& s : scores) s /= sum;
}

/// qkv (tokens, 3 C) -> (heads, tokens, tokens).
std::vector<float> probabilities(const std::vector<double>& qkv, std::int64_t tokens, std::int64_t heads) {
  const std::int64_t width = static_cast<std::int64_t>(qkv.size()) / tokens, C = width / 3, D = C / heads;
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(heads * tokens * tokens));
  std::vector<double> row(static_cast<std::size_t>(tokens));
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t query = 0; query < tokens; ++query) {
      const double* q = qkv.data() + query * width + h * D;
      for (std::int64_t key = 0; key < tokens; ++key) {
        const double* k = qkv.data() + key * width + C + h * D;
        double score = 0;
        for (std::int64_t d = 0; d < D; ++d) score += q[d] * k[d];
        row[static_cast<std::size_t>(key)] = scale * score;
      }
      softmax(row);
      for (const double p : row) all.push_back(static_cast<float>(p));
    }
  }
  return all;
}

}  // namespace

AttentionMaps attention_maps(kernels::Stream& stream, const Encoder& encoder, const Config& config,
                             kernels::DType compute, const Batch& batch, kernels::DType pixels) {
  AttentionMaps maps{.heads = config.heads, .tokens = config.patches() + 1, .blocks = {}};
  InputSlots inputs(stream, config, {.pixels = pixels, .compute = compute, .capacity = 1});
  const EveryPatch every(stream, 1, config.patches());
  const int slot = inputs.fill(batch, 0, 1);
  engine::Workspace workspace(stream, compute);
  const auto work = [&](Context& c) {
    Tensor x = encoder.embed(c, inputs.images(slot, 1), every.masking(1), config.patches());
    for (const engine::Block& block : encoder.blocks) {
      const Tensor qkv = block.qkv(c, block.norm1(c, x));
      if (!c.stream.dry()) maps.blocks.push_back(probabilities(host_values(stream, qkv.view), maps.tokens, maps.heads));
      x = block(c, x);
    }
  };
  workspace.include(work);
  workspace.reserve();
  Context context = workspace.context();
  work(context);
  return maps;
}

}  // namespace mae
