#include <fmt/format.h>

#include <filesystem>

#include "apps/attention_picture.h"
#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/feature_model.h"
#include "apps/grid_picture.h"
#include "apps/output_file.h"
#include "apps/show_channels.h"
#include "engine/number.h"
#include "engine/safetensors.h"
#include "mae/augment.h"
#include "mae/reconstruct.h"

namespace apps {
namespace {

struct AttentionOptions {
  std::string checkpoint, out = "attention.png", values, block = "last", query = "class", orientation = "as_stored";
  std::vector<std::string> images;
  std::vector<int> show_channels;
  DeviceOptions device;
};

void add_options(OptionTable& table, AttentionOptions& o) {
  table.add("images", o.images, "JPEG, PNG, TIFF or .npy files").positional().must_be_given();
  table.add("checkpoint", o.checkpoint, "weights of an encoder, or of a classifier, of ours or anybody's")
      .shown_as("FILE")
      .must_be_given();
  table.add("out", o.out, "the picture to write: a row an image and block; the mean of the heads, then each head")
      .shown_as("FILE");
  table.add("block", o.block, "of the encoder: a number from 1, last, or all").shown_as("N|last|all");
  table
      .add("query", o.query,
           "whose attention: of the class token; of the patch at row Y and column X of the image, in the model's "
           "pixels; or the mean over every patch")
      .shown_as("class|Y,X|every");
  table.add("values", o.values, "write the numbers to this file too: attentions.I of every block, in f32")
      .shown_as("SAFETENSORS");
  add_orientation_option(table, o.orientation);
  add_show_channels_option(table, o.show_channels);
  add_device_options(table, o.device);
}

/// The blocks to draw, from 0.
std::vector<std::size_t> blocks_of(const std::string& text, int depth) {
  std::vector<std::size_t> blocks;
  if (text == "all") {
    for (int i = 0; i < depth; ++i) blocks.push_back(static_cast<std::size_t>(i));
    return blocks;
  }
  const auto number = text == "last" ? depth : engine::parse_number<int>(text).value_or(0);
  if (number < 1 || number > depth)
    throw UsageError(fmt::format("\"{}\" is no block of this model", text), "--block",
                     fmt::format("1 to {}, last, or all", depth));
  return {static_cast<std::size_t>(number - 1)};
}

Query query_of(const std::string& text, const mae::Config& config) {
  if (text == "class") return {};
  if (text == "every") return {.kind = Query::Kind::every_patch};
  const std::size_t comma = std::min(text.find(','), text.size());
  const auto y = engine::parse_number<int>(text.substr(0, comma)),
             x = engine::parse_number<int>(text.substr(std::min(comma + 1, text.size())));
  if (!y || !x || *y < 0 || *x < 0 || *y >= config.image_height || *x >= config.image_width)
    throw UsageError(fmt::format("\"{}\" is no place in the image", text), "--query",
                     fmt::format("class, every, or Y,X below {},{}", config.image_height, config.image_width));
  const std::int64_t across = config.image_width / config.patch;
  return {.kind = Query::Kind::patch, .patch = *y / config.patch * across + *x / config.patch};
}

mae::Image read_fitted(const std::string& path, const std::string& orientation, const mae::Config& config) {
  mae::Image image = mae::read_image(path, config.channels);
  if (orientation_named(orientation) == mae::Orientation::upright) image = mae::upright(std::move(image));
  return mae::fit(std::move(image), config.image_height, config.image_width);
}

void write_values(const std::string& path, const std::vector<mae::AttentionMaps>& images) {
  const mae::AttentionMaps& first = images.front();
  const auto count = static_cast<std::int64_t>(images.size());
  std::vector<std::vector<float>> blocks(first.blocks.size());
  std::vector<engine::TensorToWrite> tensors;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    for (const mae::AttentionMaps& maps : images)
      blocks[b].insert(blocks[b].end(), maps.blocks[b].begin(), maps.blocks[b].end());
    tensors.emplace_back(fmt::format("attentions.{}", b), kernels::DType::f32,
                         std::vector<std::int64_t>{count, first.heads, first.tokens, first.tokens}, blocks[b].data());
  }
  engine::write_safetensors(path, {}, tensors);
}

std::string whose(const Query& query, const std::string& text) {
  if (query.kind == Query::Kind::class_token) return "the class token";
  return query.kind == Query::Kind::patch ? "the patch at " + text : "every patch, in the mean";
}

}  // namespace

int attention(int argc, char** argv) {
  AttentionOptions o;
  OptionTable table("attention", "what the tokens of an image look at, every patch being visible",
                    "mae attention --checkpoint runs/first/checkpoints/checkpoint-0000001170.safetensors dog.jpg");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  check_output_file("--out", o.out);
  check_output_file("--values", o.values);
  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const FeatureModel model(stream, o.checkpoint, mae::Pooling::mean);
  const mae::Config& config = model.config();
  const std::vector<std::size_t> blocks = blocks_of(o.block, config.depth);
  const Query query = query_of(o.query, config);
  const std::vector<int> bands = shown_bands(o.show_channels, config.channels);

  std::vector<mae::AttentionMaps> all;
  Grid grid{.title = fmt::format("Attention of {}; white: the largest value of a tile", whose(query, o.query)),
            .columns = {"image", "mean of heads"},
            .rows = {},
            .tiles = {}};
  for (int h = 1; h <= config.heads; ++h) grid.columns.push_back(fmt::format("head {}", h));
  for (const std::string& path : o.images) {
    const mae::Image image = read_fitted(path, o.orientation, config);
    mae::Batch batch;
    mae::append(batch, image, config.image_height, config.image_width, 0);
    mae::AttentionMaps maps =
        mae::attention_maps(stream, model.encoder(), config, kernels::DType::f32, batch, image.dtype);
    const Canvas shown = canvas_of(mae::picture(image, bands, config.value_range.front()));
    for (const std::size_t block : blocks) {
      grid.rows.push_back(fmt::format("{}, block {}", std::filesystem::path(path).filename().string(), block + 1));
      grid.tiles.push_back(attention_tiles(shown, maps, block, query, config.image_width / config.patch));
    }
    if (!o.values.empty()) all.push_back(std::move(maps));
  }
  write_png(o.out, draw(grid));
  if (!o.values.empty()) write_values(o.values, all);
  fmt::print("{}: {} image{}, {} of {} blocks, {} heads, {} tokens\n", o.out, o.images.size(),
             o.images.size() == 1 ? "" : "s", blocks.size(), config.depth, config.heads, config.patches() + 1);
  return done;
}

}  // namespace apps
