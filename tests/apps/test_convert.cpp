// Weights of other programs, as a user types it: convert, reconstruct, pretrain --init, embed.
#include <filesystem>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "mae/image.h"
#include "mae/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::mae_answer;
using test::Words;

const std::string hub = std::string(MAE_SOURCE_DIR) + "/tests/golden/weights";

test::Answer succeeded(const Words& words) {
  test::Answer answer = mae_answer(words);
  INFO(answer.error);
  REQUIRE(answer.code == apps::done);
  return answer;
}

/// The golden model of transformers on images of one channel.
Words init_words(const std::string& data, const std::string& out, const std::string& file) {
  return {"pretrain", "--init", file,   "--data",          data,   "--out",      out, "--channels",
          "1",        "--mean", "0.5",  "--std",           "0.25", "--batch",    "8", "--epochs",
          "1",        "--blr",  "0.01", "--warmup-epochs", "0",    "--pictures", "0"};
}

engine::Json first_event(const std::string& run) {
  const std::string text = engine::read_file(run + "/events.jsonl");
  return engine::parse_json(text.substr(0, text.find('\n')), "events.jsonl");
}

}  // namespace

TEST_CASE("attention draws a row of tiles for each block, and writes the numbers") {
  const TestFolder folder;
  const std::string out = folder.file("a.png"), values = folder.file("a.safetensors");
  const auto words = [&](const Words& more) {
    return joined({"attention", hub + "/square.png", "--checkpoint", hub, "--out", out}, more);
  };
  succeeded(words({"--values", values}));
  const mae::Image last = mae::read_image(out);
  succeeded(words({"--block", "all", "--query", "0,0"}));
  CHECK(mae::read_image(out).height > 3 * last.height / 2);
  CHECK(mae::read_image(out).width >= last.width);
  const engine::SafetensorsFile file(values);
  const mae::Config config = mae::config_of(mae::model_metadata(hub), hub);
  REQUIRE(file.header().tensors.size() == static_cast<std::size_t>(config.depth));
  CHECK(file.header().tensors[0].shape ==
        std::vector<std::int64_t>{1, config.heads, config.patches() + 1, config.patches() + 1});
  CHECK(mae_answer(words({"--block", "9"})).code == apps::bad_usage);
  CHECK_THAT(mae_answer(words({"--query", "999,0"})).error, ContainsSubstring("no place in the image"));
  CHECK(mae_answer(words({"--query", "left"})).code == apps::bad_usage);
}

TEST_CASE("reconstruct with masking off") {
  const TestFolder folder;
  const test::Answer answer = succeeded({"reconstruct", hub + "/square.png", "--checkpoint", hub, "--mask-ratio", "0",
                                         "--out", folder.file("strip.png")});
  const std::int64_t patches = mae::config_of(mae::model_metadata(hub), hub).patches();
  CHECK_THAT(answer.output, ContainsSubstring(std::to_string(patches) + " of " + std::to_string(patches) + " patches"));
}

TEST_CASE("convert says what it read and wrote, and reconstruct takes either") {
  const TestFolder folder;
  const test::Answer converted = succeeded({"convert", hub, folder.file("official.pth")});
  CHECK_THAT(converted.output, ContainsSubstring("names of Hugging Face's transformers: encoder and decoder"));
  CHECK_THAT(converted.output, ContainsSubstring("50 tensors, official"));
  const auto values = [&](const std::string& checkpoint, const std::string& name) {
    succeeded({"reconstruct", hub + "/square.png", "--checkpoint", checkpoint, "--noise", "torch:2", "--values",
          folder.file(name), "--out", folder.file("strip.png")});
    return engine::SafetensorsFile(folder.file(name));
  };
  const engine::SafetensorsFile a = values(hub, "a.safetensors"),
                                b = values(folder.file("official.pth"), "b.safetensors");
  REQUIRE(a.header().tensors.size() == 6 + 3);
  for (const engine::TensorEntry& entry : a.header().tensors) {
    std::vector<std::byte> mine(entry.end - entry.begin), other(mine.size());
    a.read(entry, mine.data());
    b.read(*b.find(entry.name), other.data());
    INFO(entry.name);
    CHECK(mine == other);
  }
}

TEST_CASE("another image size is interpolated by reconstruct and by convert alike") {
  const TestFolder folder;
  const Words size{"--image-size", "8,20"};
  succeeded(joined({"convert", hub, folder.file("wide.safetensors")}, size));
  CHECK(mae::config_of(mae::Weights(folder.file("wide.safetensors")).checkpoint(), "wide").image_width == 20);
  const auto loss_line = [&](const Words& words) {
    const std::string out =
        succeeded(joined({"reconstruct", hub + "/wide.png", "--out", folder.file("strip.png")}, words)).output;
    return out.substr(out.find("patches visible"));
  };
  CHECK(loss_line(joined({"--checkpoint", hub}, size)) == loss_line({"--checkpoint", folder.file("wide.safetensors")}));
}

TEST_CASE("convert refuses names that do not say what is to be written") {
  const TestFolder folder;
  const auto refused = [&](const Words& words, const std::string& named) {
    const test::Answer answer = mae_answer(joined({"convert", hub}, words));
    CHECK(answer.code == apps::bad_usage);
    CHECK_THAT(answer.error, ContainsSubstring(named));
    CHECK(folder.count() == 0);
  };
  refused({folder.file("out")}, ".safetensors or .pth");
  refused({folder.file("out.pth"), "--format", "hf"}, "a folder is written");
  refused({folder.file("out.pth"), "--format", "onnx"}, "official, hf, timm");
  CHECK(mae_answer({"convert", folder.file("none.pth"), folder.file("out.pth")}).code == apps::bad_input);
}

TEST_CASE("pretraining begins with weights of another size and other channels, and says what became of each tensor") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 24, 16);
  const test::Answer answer = succeeded(init_words(folder.path(), folder.file("run"), hub));
  CHECK_THAT(answer.output, ContainsSubstring("47 tensors loaded, 1 adapted, 2 with initial values, 0 ignored"));
  CHECK_THAT(answer.output, ContainsSubstring("patch_embed.proj.weight: from 3 channels to 1, each their mean"));
  const engine::Json event = first_event(folder.file("run"));
  CHECK(event.at("init").at("loaded").as_array().size() == 47);
  CHECK(event.at("init").at("adapted").find("patch_embed.proj.weight"));
  CHECK(event.at("init").at("initial").find("decoder_pred.weight"));
  const std::string checkpoint = engine::newest_whole_checkpoint(folder.file("run/checkpoints"))->path;
  const mae::Config config = mae::config_of(engine::read_checkpoint(checkpoint), checkpoint);
  CHECK(config.channels == 1);
  CHECK(config.heads == 2);
  CHECK(config.norm_pix);

  SECTION("a run that goes on does not need the file any more") {
    fs::copy(hub, folder.file("hub"));
    succeeded(joined(init_words(folder.path(), folder.file("again"), folder.file("hub")), {"--stop-after", "1"}));
    fs::remove_all(folder.file("hub"));
    const Words again =
        joined(init_words(folder.path(), folder.file("again"), folder.file("hub")), {"--resume", "auto"});
    for (const Words& change : {Words{"--mask-ratio", "0.5"}, {"--ln-eps", "1e-3"}, {"--decoder-depth", "7"}}) {
      const test::Answer other = mae_answer(joined(again, change));
      INFO(change[0] << ": " << other.error);
      CHECK(other.code == apps::bad_input);
    }
    succeeded(again);
    const auto log = [&](const std::string& run) { return engine::read_file(run + "/log.jsonl"); };
    CHECK(log(folder.file("again")) == log(fs::path(checkpoint).parent_path().parent_path().string()));
    const test::Answer fresh = mae_answer(init_words(folder.path(), folder.file("fresh"), folder.file("hub")));
    CHECK(fresh.code == apps::bad_input);
    CHECK_THAT(fresh.error, ContainsSubstring("hub"));
  }
  SECTION("an encoder of any program gives the features that the checkpoint gives") {
    const auto features = [&](const std::string& file) {
      succeeded({"embed", "--checkpoint", file, "--data", folder.path(), "--out", folder.file("features.npy")});
      return engine::read_file(folder.file("features.npy"));
    };
    const std::string own = features(checkpoint);
    succeeded({"convert", checkpoint, folder.file("run.pth")});
    CHECK(features(folder.file("run.pth")) == own);
    succeeded({"convert", folder.file("run.pth"), folder.file("vit"), "--format", "hf"});
    CHECK(features(folder.file("vit")) == own);
    succeeded({"convert", folder.file("vit"), folder.file("encoder.pth"), "--format", "timm", "--heads", "2"});
    CHECK(features(folder.file("encoder.pth")) == own);
  }
  SECTION("a file that does not fit is refused before a run is begun") {
    const test::Answer deeper =
        mae_answer(joined(init_words(folder.path(), folder.file("deeper"), hub), {"--depth", "3"}));
    CHECK(deeper.code == apps::bad_input);
    CHECK_THAT(deeper.error, ContainsSubstring("its encoder has 2 blocks"));
    CHECK_FALSE(fs::exists(folder.file("deeper/log.jsonl")));
  }
}
