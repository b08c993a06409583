// Maps of attention: against the attention kernel, which never writes its probabilities down.
#include "engine/workspace.h"
#include "mae/attention_maps.h"
#include "mae/host_values.h"
#include "mae/input_slots.h"
#include "mae/model.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"

using namespace mae;
using kernels::DType;

namespace {

Config small_config() {
  Config c;
  c.image_height = 16, c.image_width = 24, c.patch = 4, c.channels = 3;
  c.dim = 24, c.depth = 3, c.heads = 3;
  c.decoder_dim = 16, c.decoder_depth = 1, c.decoder_heads = 2;
  return c;
}

/// p v of every head -> (tokens, C), with v from qkv (tokens, 3 C).
std::vector<double> weighted(const AttentionMaps& maps, std::size_t block, const std::vector<double>& qkv,
                             std::size_t C) {
  const auto T = static_cast<std::size_t>(maps.tokens), heads = static_cast<std::size_t>(maps.heads), D = C / heads;
  std::vector<double> out(T * C);
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t query = 0; query < T; ++query) {
      const auto row = maps.row(block, static_cast<std::int64_t>(h), static_cast<std::int64_t>(query));
      for (std::size_t key = 0; key < T; ++key) {
        for (std::size_t d = 0; d < D; ++d)
          out[query * C + h * D + d] += double{row[key]} * qkv[key * 3 * C + 2 * C + h * D + d];
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("attention maps: the probabilities of every head and block, rows of sum 1") {
  const Config config = small_config();
  kernels::Stream stream(kernels::find_device("cpu"));
  Model model(config, DType::f64);
  model.initialize(stream, 5, engine::Purpose::inference);
  Batch batch;
  Image image = make_image(16, 24, 3, DType::u8);
  image.pixels = support::noise_bytes(image.pixels.size(), 1);
  append(batch, image, 16, 24, 0);

  const AttentionMaps maps = attention_maps(stream, model.encoder(), config, DType::f64, batch, DType::u8);
  CHECK((maps.blocks.size() == 3 && maps.heads == 3 && maps.tokens == 25));
  for (std::size_t block = 0; block < 3; ++block) {
    for (std::int64_t h = 0; h < 3; ++h) {
      for (std::int64_t query = 0; query < 25; ++query) {
        double sum = 0;
        for (const float p : maps.row(block, h, query)) sum += p;
        if (std::abs(sum - 1) > 1e-6) FAIL("row " << query << " of block " << block << " sums to " << sum);
      }
    }
  }

  InputSlots inputs(stream, config, {.pixels = DType::u8, .compute = DType::f64, .capacity = 1});
  const EveryPatch every(stream, 1, config.patches());
  const int slot = inputs.fill(batch, 0, 1);
  engine::Workspace workspace(stream, DType::f64);
  const auto work = [&](Context& c) {
    Tensor x = model.encoder().embed(c, inputs.images(slot, 1), every.masking(1), config.patches());
    for (std::size_t block = 0; block < 3; ++block) {
      const engine::Block& b = model.encoder().blocks[block];
      const Tensor qkv = b.qkv(c, b.norm1(c, x));
      const Tensor attended = attention(c, qkv, config.heads);
      if (!c.stream.dry()) {
        const std::vector<double> expected = host_values(stream, attended.view),
                                  found = weighted(maps, block, host_values(stream, qkv.view), 24);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          if (std::abs(found[i] - expected[i]) > 1e-6) FAIL("value " << i << " of block " << block);
        }
      }
      x = b(c, x);
    }
  };
  workspace.include(work);
  workspace.reserve();
  Context context = workspace.context();
  work(context);
}
