// Weights of other programs: what is read, adapted and written. The golden model is one of Hugging Face's transformers
// with random values (tests/golden/make_weights_golden.py), and so is what it predicts, in f64.
#include <cstring>
#include <filesystem>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "mae/augment.h"
#include "mae/config_text.h"
#include "mae/convert.h"
#include "mae/model_file.h"
#include "mae/model_outputs.h"
#include "mae/noise.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace {

using kernels::DType;
using mae::WeightFormat;
using mae::Weights;

const std::string hub = std::string(MAE_SOURCE_DIR) + "/tests/golden/weights";

kernels::Stream cpu() { return kernels::Stream(kernels::devices().front()); }

mae::Config config_of(const Weights& weights) { return mae::config_of(weights.checkpoint(), weights.path()); }

mae::ModelOutputs outputs_of(const std::string& path, const std::string& picture, const mae::Config& config,
                             DType compute) {
  kernels::Stream stream = cpu();
  const auto model =
      mae::load_model(stream, Weights(path), config, compute, {.interpolation = mae::Interpolation::transformers});
  mae::Batch batch;
  mae::append(batch, mae::read_image(hub + "/" + picture + ".png", 3), config.image_height, config.image_width, 0);
  return mae::model_outputs(stream, *model, batch, DType::u8,
                            {.noise = mae::read_noise("torch:2", 1, config.patches())});
}

double farthest(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
  return most;
}

void check_golden(const std::string& path, const std::string& picture, const mae::Config& config) {
  const test::Golden golden("weights/expected.safetensors");
  const auto expected = [&](const std::string& name) { return golden.values(picture + "." + name); };
  for (const DType compute : {DType::f32, DType::f64}) {
    const double bound = compute == DType::f64 ? 1e-9 : 1e-5;
    const mae::ModelOutputs found = outputs_of(path, picture, config, compute);
    INFO(path << " " << picture << " " << kernels::name_of(compute));
    CHECK(farthest({found.rank.begin(), found.rank.end()}, expected("ids_restore")) == 0);
    CHECK(farthest(found.predicted, expected("logits")) < bound);
    CHECK(std::fabs(found.loss - expected("loss")[0]) < bound);
    REQUIRE(found.hidden_states.size() == static_cast<std::size_t>(config.depth + 1));
    for (std::size_t i = 0; i + 1 < found.hidden_states.size(); ++i)
      CHECK(farthest(found.hidden_states[i], expected("hidden_states." + std::to_string(i))) < bound);
  }
}

/// Every tensor of a file by its official key: type, shape, bytes.
std::map<std::string, std::pair<engine::StoredType, std::vector<std::byte>>> contents(const std::string& path) {
  std::map<std::string, std::pair<engine::StoredType, std::vector<std::byte>>> all;
  const Weights weights(path);
  for (const mae::WeightEntry& entry : weights.entries()) all[entry.key] = {entry.type, weights.read(entry)};
  return all;
}

/// The golden weights under other names, in a file.
std::string renamed(const TestFolder& folder, const mae::Names& names, DType type = DType::f32) {
  const Weights weights(hub);
  std::vector<std::vector<float>> kept;
  std::vector<std::vector<kernels::bf16>> short_kept;
  std::vector<engine::TensorToWrite> tensors;
  for (const mae::WeightEntry& entry : weights.entries()) {
    const std::vector<double> values = weights.values(entry);
    kept.emplace_back(values.begin(), values.end());
    auto& rounded = short_kept.emplace_back();
    for (float value : kept.back()) rounded.emplace_back(value);
    const std::vector<std::string> parts = names_of(entry.key, names);
    std::vector<std::int64_t> shape = entry.shape;
    if (parts.size() > 1) shape[0] /= 3;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t at = i * values.size() / parts.size();
      const void* data = type == DType::f32 ? static_cast<const void*>(kept.back().data() + at) : rounded.data() + at;
      tensors.emplace_back(parts[i], type, shape, data);
    }
  }
  const std::string path = folder.file("renamed.safetensors");
  engine::write_safetensors(path, {}, tensors);
  return path;
}

}  // namespace

TEST_CASE("a model of transformers predicts here what it predicts there") {
  const mae::Config config = config_of(Weights(hub));
  CHECK(config.heads == 2);
  CHECK(config.decoder_heads == 3);
  CHECK(config.ln_eps == 1e-12);
  CHECK(config.norm_pix);
  CHECK(config.mask_ratio == 0.6);
  CHECK(config.mean == std::vector{0.45, 0.4, 0.35});
  check_golden(hub, "square", config);                   // as save_pretrained wrote it
  check_golden(hub + "/weights.pth", "square", config);  // as torch.save did
}

TEST_CASE("positions for another image size are those of transformers") {
  mae::Config config = config_of(Weights(hub));
  config.image_height = 8;
  config.image_width = 20;
  check_golden(hub, "wide", config);
}

TEST_CASE("torch.rand is reproduced") {
  const std::vector<double> expected = test::Golden("weights/expected.safetensors").values("torch_rand");
  const std::vector<float> found = mae::torch_rand(2, static_cast<std::int64_t>(expected.size()));
  CHECK(std::vector<double>(found.begin(), found.end()) == expected);
  CHECK_THROWS_WITH(mae::read_noise("torch:two", 1, 4), ContainsSubstring("--noise"));
}

TEST_CASE("round trips keep every byte") {
  const TestFolder folder;
  const auto to = [&](const std::string& from, WeightFormat format, const std::string& name) {
    const mae::LoadReport report = mae::convert(Weights(from), config_of(Weights(from)), format, folder.file(name));
    CHECK(report.count(mae::Fate::adapted) + report.count(mae::Fate::initial) ==
          (format == WeightFormat::timm ? 20 : 0));  // the decoder's
    return folder.file(name);
  };
  const std::string official = to(hub, WeightFormat::official, "official.safetensors");
  const std::string pth = to(official, WeightFormat::official, "official.pth");
  const std::string back = to(pth, WeightFormat::transformers, "hub");
  CHECK(contents(official) == contents(hub));
  CHECK(contents(pth) == contents(hub));
  CHECK(contents(back) == contents(hub));
  CHECK(mae::to_text(config_of(Weights(back))) == mae::to_text(config_of(Weights(hub))));
  CHECK(Weights(official).ours());
  const auto encoder = contents(to(pth, WeightFormat::timm, "timm.pth"));
  CHECK(encoder.size() == 4 + 2 * 12 + 2);
  for (const auto& [key, value] : encoder) CHECK(value == contents(hub).at(key));
}

TEST_CASE("config.json of a converted model says what transformers reads") {
  const TestFolder folder;
  mae::convert(Weights(hub), config_of(Weights(hub)), WeightFormat::transformers, folder.file("out"));
  const engine::Json was = engine::parse_json(engine::read_file(hub + "/config.json"), "was"),
                     is = engine::parse_json(engine::read_file(folder.file("out/config.json")), "is");
  for (const engine::Json& member : was.as_object()) {
    if (member.key == "dtype" || member.key == "transformers_version") continue;
    INFO(member.key);
    CHECK(to_text(is.at(member.key)) == to_text(member));
  }
}

TEST_CASE("every naming is read, and bf16") {
  const TestFolder folder;
  const auto was = contents(hub);
  for (const mae::Naming naming : {mae::Naming::official, mae::Naming::transformers, mae::Naming::transformers5,
                                   mae::Naming::modules5, mae::Naming::mmpretrain})
    CHECK(contents(renamed(folder, {naming, "vit."})) == was);
  const Weights rounded(renamed(folder, {}, DType::bf16)), exact(hub);
  for (const mae::WeightEntry& entry : rounded.entries()) {
    const std::vector<double> a = rounded.values(entry), b = exact.values(*exact.find(entry.key));
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::fabs(a[i] - b[i]) <= std::fabs(b[i]) / 256);
  }
}

TEST_CASE("what a file does not say is asked for") {
  const TestFolder folder;
  const std::string path = renamed(folder, {});
  CHECK_THROWS_WITH(mae::model_metadata(path), ContainsSubstring("how many attention heads"));
  mae::Config config = config_of(Weights(path));
  CHECK(config.heads == 0);
  CHECK(config.image_height == 16);
  config.heads = 2;
  config.decoder_heads = 3;
  mae::convert(Weights(path), config, WeightFormat::official, folder.file("complete.safetensors"));
  CHECK(config_of(Weights(folder.file("complete.safetensors"))).heads == 2);
}

TEST_CASE("a file without a model is refused") {
  const TestFolder folder;
  const float value = 1;
  engine::write_safetensors(folder.file("other.safetensors"), {}, {{"weight", DType::f32, {1}, &value}});
  CHECK_THROWS_WITH(Weights(folder.file("other.safetensors")), ContainsSubstring("no encoder"));
  std::filesystem::create_directory(folder.file("empty"));
  CHECK_THROWS_WITH(Weights(folder.file("empty")), ContainsSubstring("neither model.safetensors"));
}

TEST_CASE("an encoder alone is no model to reconstruct with, and says which files have both") {
  const TestFolder folder;
  mae::convert(Weights(hub), config_of(Weights(hub)), WeightFormat::timm, folder.file("encoder.safetensors"));
  kernels::Stream stream = cpu();
  CHECK_THROWS_WITH(mae::load_model(stream, folder.file("encoder.safetensors"), DType::f32),
                    ContainsSubstring("an encoder and no decoder"));
  const Weights weights(folder.file("encoder.safetensors"));
  CHECK(mae::load_model(stream, weights, config_of(weights), DType::f32, {.optional = mae::is_decoder_key}));
}

TEST_CASE("other sizes and channels are adapted where they may be, and refused where not") {
  const Weights weights(hub);
  const mae::Config own = config_of(weights);
  mae::Config config = own;
  config.image_height = config.image_width = 32;
  config.channels = 2;
  config.mean = config.std = {0.5};
  const mae::Model model(config, DType::f32);
  CHECK_THROWS_WITH(mae::LoadPlan(weights, model.parameters(), config),
                    ContainsSubstring("patch_embed.proj.weight is (16, 3, 4, 4), the model's is (16, 2, 4, 4)"));
  const mae::LoadPlan plan(weights, model.parameters(), config, {.other_channels = true});
  CHECK(plan.report().count(mae::Fate::adapted) == 3);  // two tables of positions, the projection
  CHECK(plan.report().count(mae::Fate::initial) == 2);  // decoder_pred
  CHECK(plan.report().count(mae::Fate::loaded) == 45);
  CHECK_THAT(text_of(plan.report()), ContainsSubstring("interpolated from 4 x 4 patches to 8 x 8"));
  CHECK(plan.values("pos_embed").size() == 65 * 16);

  config = own;
  config.depth = 3;
  const mae::Model deeper(config, DType::f32);
  CHECK_THROWS_WITH(mae::LoadPlan(weights, deeper.parameters(), config), ContainsSubstring("its encoder has 2 blocks"));

  config = own;
  config.decoder_depth = 2;
  const mae::Model more(config, DType::f32);
  CHECK_THROWS_WITH(mae::LoadPlan(weights, more.parameters(), config),
                    ContainsSubstring("needs what the file has not: decoder_blocks.1.norm1.weight"));
}

TEST_CASE("a grey image gives the same tokens, whatever its channels") {
  const std::int64_t out = 2, channels = 3, area = 4;
  std::vector<double> weight;
  for (int i = 0; i < out * channels * area; ++i) weight.push_back(0.1 * i * (i % 2 ? 1 : -1));
  const auto token = [&](const std::vector<double>& w, std::int64_t row) {
    const auto values = static_cast<std::int64_t>(w.size()) / out;
    double sum = 0;
    for (std::int64_t i = 0; i < values; ++i) sum += w[static_cast<std::size_t>(row * values + i)] * (1 + i % area);
    return sum;
  };
  for (const std::int64_t to : {1, 2, 3, 6, 12}) {
    for (std::int64_t row = 0; row < out; ++row) {
      const double was = token(weight, row);
      CHECK(std::fabs(token(mae::adapt_channels(weight, out, channels, to, mae::ChannelRule::mean), row) - was) <
            1e-12);
      if (to % channels == 0)
        CHECK(std::fabs(token(mae::adapt_channels(weight, out, channels, to, mae::ChannelRule::repeat), row) - was) <
              1e-12);
    }
  }
  CHECK(mae::adapt_channels(weight, out, channels, 3, mae::ChannelRule::repeat) == weight);
}

TEST_CASE("interpolation keeps the class token's row, and a table of the same grid") {
  std::vector<double> table;
  for (int i = 0; i < 13 * 2; ++i) table.push_back(std::sin(i));
  CHECK(mae::interpolate_positions(table, 1, {3, 4}, {3, 4}) == table);
  const std::vector<double> larger = mae::interpolate_positions(table, 1, {3, 4}, {5, 7});
  CHECK(larger.size() == 36 * 2);
  CHECK(larger[0] == table[0]);
  CHECK(larger[1] == table[1]);
}

TEST_CASE("f16 is read: ordinary, subnormal and infinite values") {
  const TestFolder folder;
  std::vector<engine::TensorToWrite> tensors;
  const Weights weights(hub);
  std::vector<std::vector<std::uint16_t>> kept;
  for (const mae::WeightEntry& entry : weights.entries()) {
    std::size_t count = 1;
    for (const std::int64_t size : entry.shape) count *= static_cast<std::size_t>(size);
    kept.emplace_back(count, 0x3C00);  // 1
    tensors.emplace_back(entry.key, engine::StoredType::f16, entry.shape, kept.back().data());
  }
  const std::uint16_t cls[] = {0x3C00, 0xC000, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0x8000,
                               0x3555, 0,      0,      0,      0,      0,      0,      0};
  tensors[0].data = cls;
  REQUIRE(tensors[0].name == "cls_token");
  engine::write_safetensors(folder.file("half.safetensors"), {}, tensors);
  const Weights half(folder.file("half.safetensors"));
  const std::vector<double> found = half.values(*half.find("cls_token"));
  CHECK(std::vector(found.begin(), found.begin() + 9) ==
        std::vector<double>{1, -2, std::ldexp(1, -24), std::ldexp(1023, -24), std::ldexp(1, -14), 65504, HUGE_VAL, 0,
                            std::ldexp(1365, -12)});
}

TEST_CASE("of a checkpoint that keeps an average, the average is converted") {
  const TestFolder folder;
  mae::convert(Weights(hub), config_of(Weights(hub)), WeightFormat::official, folder.file("own.safetensors"));
  const Weights own(folder.file("own.safetensors"));
  std::vector<std::vector<float>> kept;
  std::vector<engine::TensorToWrite> tensors;
  for (const mae::WeightEntry& entry : own.entries()) {
    for (const float factor : {1.0f, 3.0f}) {
      std::vector<float>& values = kept.emplace_back();
      for (const double value : own.values(entry)) values.push_back(static_cast<float>(value) * factor);
      tensors.emplace_back((factor == 1 ? "" : "ema.") + entry.key, DType::f32, entry.shape, values.data());
    }
  }
  engine::Metadata metadata = own.file().metadata();
  std::erase_if(metadata, [](const auto& entry) { return entry.first == "crc32"; });
  engine::write_safetensors(folder.file("averaged.safetensors"), metadata, tensors, engine::Checksum::crc32);
  mae::Config config = config_of(own);
  for (const int side : {16, 32}) {
    config.image_height = config.image_width = side;
    mae::convert(Weights(folder.file("averaged.safetensors")), config, WeightFormat::official, folder.file("out.pth"));
    const Weights out(folder.file("out.pth"));
    const std::vector<double> found = out.values(*out.find("pos_embed")), was = own.values(*own.find("pos_embed"));
    CHECK(found.size() == static_cast<std::size_t>(1 + side * side / 16) * 16);
    CHECK(std::fabs(found[0] - 3 * was[0]) < 1e-6);  // of the class token
    if (side == 16) CHECK(std::fabs(found.back() - 3 * was.back()) < 1e-6);
    for (const double value : found) CHECK(std::fabs(value) < 20);
  }
}

TEST_CASE("what would change the computation is refused, and crafted sizes are, too") {
  const TestFolder folder;
  const auto with = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const Weights weights(hub);
    std::vector<std::vector<std::byte>> kept;
    std::vector<engine::TensorToWrite> tensors;
    const std::vector<float> extra(4096);
    for (const mae::WeightEntry& entry : weights.entries()) {
      kept.push_back(weights.read(entry));
      if (entry.key != name) tensors.emplace_back(entry.key, entry.type, entry.shape, kept.back().data());
    }
    tensors.emplace_back(name, DType::f32, shape, extra.data());
    engine::write_safetensors(folder.file("crafted.safetensors"), {}, tensors);
    return folder.file("crafted.safetensors");
  };
  CHECK_THROWS_WITH(Weights(with("blocks.0.ls1.gamma", {16})), ContainsSubstring("changes what the model computes"));
  CHECK_THROWS_WITH(Weights(with("reg_token", {1, 4, 16})), ContainsSubstring("reg_token"));
  CHECK_NOTHROW(Weights(with("something.else", {16})));
  CHECK_THROWS_AS(Weights(with("patch_embed.proj.weight", {16, 0, 4, 4})), kernels::Error);
  CHECK_THROWS_AS(Weights(with("patch_embed.proj.weight", {16, 1, 0, 0})), kernels::Error);
  CHECK_THROWS_AS(Weights(with("cls_token", {})), kernels::Error);
  CHECK_THROWS_AS(Weights(with("pos_embed", {17, 16})), kernels::Error);
}
