// knn and embed, as a user types them: what they write, and what they refuse before anything is encoded.
#include <cstring>
#include <filesystem>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "mae/classifier.h"
#include "mae/dataset.h"
#include "mae/features.h"
#include "mae/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::Words;

/// A model after two epochs, its images of ten classes (120 and 50), and images without labels.
struct Trained {
  TestFolder folder;
  std::string data = folder.path(), bare = folder.file("bare"), checkpoint;
  Trained() {
    test::write_idx(data, "train", 120, 16);
    test::write_idx(data, "t10k", 50, 16);
    fs::create_directory(bare);
    test::write_idx(bare, "train", 20, 16);
    fs::remove(bare + "/train-labels-idx1-ubyte");
    REQUIRE(test::mae_command(joined(test::pretrain_words(data, folder.file("run")), {"--epochs", "2"})) == apps::done);
    checkpoint = engine::newest_whole_checkpoint(folder.file("run/checkpoints"))->path;
  }
  test::Answer answer(const std::string& command, const Words& words) const {
    return test::mae_answer(joined({command, "--checkpoint", checkpoint}, words));
  }
  void check_refused(const std::string& command, const Words& words, int code, const std::string& named) const {
    const test::Answer refused = answer(command, words);
    INFO(refused.error);
    CHECK(refused.code == code);
    CHECK_THAT(refused.error, ContainsSubstring(named));
    CHECK(refused.error.find("encoded") == std::string::npos);
  }
  mae::Features features(const std::string& path, mae::Pooling pooling) const {
    kernels::Stream stream(kernels::find_device("cpu"));
    const auto model = mae::load_model(stream, checkpoint, kernels::DType::f32);
    return mae::encoder_features(stream, *model, mae::open_dataset(path, {.channels = 1}), pooling);
  }
};

/// The bytes behind the header of a .npy file, which names this.
std::string elements(const std::string& path, const std::string& described) {
  const std::string file = engine::read_file(path);
  const std::size_t end = file.find('\n') + 1;
  CHECK(end % 64 == 0);
  CHECK_THAT(file.substr(0, end), ContainsSubstring(described));
  return file.substr(end);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

TEST_CASE("knn: a table of features, labels and k, and what it refuses") {
  const Trained t;
  const std::string json = t.folder.file("knn.json");
  const test::Answer answer = t.answer(
      "knn", {"--data", t.data, "--k", "1,5", "--labels", "0,30", "--seeds", "2", "--baselines", "--json", json});
  INFO(answer.error);
  REQUIRE(answer.code == apps::done);
  CHECK_THAT(answer.output, ContainsSubstring("features \\ labels, k"));
  CHECK_THAT(answer.output, ContainsSubstring("120, k 1 ") && ContainsSubstring("30, k 5\n"));
  CHECK_THAT(answer.output, ContainsSubstring("on all 50 test images, mean (spread) of 2 choices of labels"));
  CHECK_THAT(answer.error, ContainsSubstring("pretrained encoder, test: 50 images encoded"));
  const engine::Json results = engine::parse_json(engine::read_file(json), json);
  CHECK(results.at("temperature").as_double() == 0.07);
  REQUIRE(results.at("results").as_array().size() == 12);
  double spreads = 0;
  for (const engine::Json& cell : results.at("results").as_array()) {
    const bool all = cell.at("labels").as_int() == 120;
    CHECK(cell.at("top1").as_double() > 10);
    CHECK(cell.at("top1").as_double() <= 100);
    if (all) CHECK(cell.at("spread").as_double() == 0);  // all labels are one choice
    spreads += cell.at("spread").as_double();
  }
  CHECK(spreads > 0);

  t.check_refused("knn", {"--data", t.data, "--k", "121"}, apps::bad_usage, "121 neighbours of 120 training images");
  t.check_refused("knn", {"--data", t.data, "--labels", "10"}, apps::bad_usage, "20 neighbours of 10");
  t.check_refused("knn", {"--data", t.data, "--k", "0"}, apps::bad_usage, "--k");
  t.check_refused("knn", {"--data", t.data, "--labels", "9"}, apps::bad_usage, "--labels");
  t.check_refused("knn", {"--data", t.data, "--temperature", "0"}, apps::bad_usage, "--temperature");
  t.check_refused("knn", {"--data", t.data, "--seeds", "0"}, apps::bad_usage, "--seeds");
  t.check_refused("knn", {"--data", t.data, "--temprature", "1"}, apps::bad_usage, "--temperature");
  t.check_refused("knn", {"--data", t.data, "--json", t.folder.file("none/a.json")}, apps::bad_input, "no folder");
  t.check_refused("knn", {"--data", t.bare, "--val-data", t.data}, apps::bad_input, "no labels to classify");
  t.check_refused("knn", {"--data", t.data, "--val-data", t.bare}, apps::bad_input, "of other classes");
  t.check_refused("knn", {"--data", t.bare}, apps::bad_input, "no test images");
}

TEST_CASE("embed: features as .npy with their labels beside them") {
  const Trained t;
  const std::string out = t.folder.file("test.npy"), labels = t.folder.file("test.labels.npy");
  const test::Answer answer = t.answer("embed", {"--data", t.data + ":test", "--out", out});
  INFO(answer.error);
  REQUIRE(answer.code == apps::done);
  CHECK_THAT(answer.output, ContainsSubstring("test.npy: 50 x 16 f32, mean of the patch tokens after 30 steps"));
  CHECK_THAT(answer.error, ContainsSubstring("50/50 images") && ContainsSubstring("images/s  ETA"));
  const mae::Features expected = t.features(t.data + ":test", mae::Pooling::mean);
  CHECK(elements(out, "'descr': '<f4', 'fortran_order': False, 'shape': (50, 16), }") == bytes_of(expected.values));
  CHECK(elements(labels, "'descr': '<i4', 'fortran_order': False, 'shape': (50,), }") == bytes_of(expected.labels));

  t.check_refused("embed", {"--data", t.bare, "--out", out}, apps::bad_input, "test.labels.npy");  // of other images
  fs::remove(labels);
  REQUIRE(t.answer("embed", {"--data", t.bare, "--out", out}).code == apps::done);
  CHECK(elements(out, "(20, 16)").size() == 20 * 16 * 4);
  CHECK_FALSE(fs::exists(labels));
}

TEST_CASE("embed: features and labels as safetensors, with what made them") {
  const Trained t;
  const std::string out = t.folder.file("train.safetensors");
  REQUIRE(t.answer("embed", {"--data", t.data, "--out", out, "--features", "cls"}).code == apps::done);
  const mae::Features expected = t.features(t.data, mae::Pooling::cls);
  const engine::SafetensorsFile file(out);
  std::vector<float> values(120 * 16);
  std::vector<std::int32_t> labels(120);
  file.read("features", kernels::DType::f32, {120, 16}, values.data());
  file.read("labels", kernels::DType::i32, {120}, labels.data());
  CHECK(values == expected.values);
  CHECK(labels == expected.labels);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : file.header().metadata) metadata[key] = value;
  CHECK(metadata["step"] == "30");
  CHECK(metadata["pooling"] == "cls");
  CHECK(metadata["checkpoint"] == t.checkpoint);
  CHECK(engine::parse_json(metadata["classes"], "classes").as_array().size() == 10);
  REQUIRE(t.answer("embed", {"--data", t.bare, "--out", out}).code == apps::done);
  CHECK(engine::SafetensorsFile(out).find("labels") == nullptr);
}

TEST_CASE("embed refuses what it could not write before it encodes") {
  const Trained t;
  const auto refused = [&](const std::string& out, int code, const std::string& named) {
    t.check_refused("embed", {"--data", t.data, "--out", out}, code, named);
  };
  refused(t.folder.file("features.csv"), apps::bad_usage, ".npy or .safetensors");
  refused(t.folder.file("features"), apps::bad_usage, ".npy or .safetensors");
  refused(t.folder.file("none/features.npy"), apps::bad_input, "there is no folder");
  fs::create_directory(t.folder.file("taken.labels.npy"));
  refused(t.folder.file("taken.npy"), apps::bad_input, "taken.labels.npy is a folder");
  t.check_refused("embed", {"--data", t.data}, apps::bad_usage, "--out");
  t.check_refused("embed", {"--data", t.data, "--out", "a.npy", "--feature", "cls"}, apps::bad_usage, "--features");
  t.check_refused("embed", {"--data", t.folder.file("gone"), "--out", "a.npy"}, apps::bad_input, "does not exist");
}

TEST_CASE("a classifier's features are those that its head sees") {
  const Trained t;
  const std::string out = t.folder.file("test.npy"), json = t.folder.file("knn.json");
  const Words tune{"finetune", "--checkpoint", t.checkpoint, "--data",   t.data,  "--out", t.folder.file("tuned"),
                   "--batch",  "30",           "--epochs",   "1",        "--blr", "0.02",  "--warmup-epochs",
                   "0",        "--mixup",      "0",          "--cutmix", "0"};
  REQUIRE(test::mae_command(tune) == apps::done);
  const std::string best = t.folder.file("tuned/best.safetensors");
  const auto answer = [&](const Words& words) { return test::mae_answer(words); };
  const test::Answer embedded = answer({"embed", "--checkpoint", best, "--data", t.data + ":test", "--out", out});
  INFO(embedded.error);
  REQUIRE(embedded.code == apps::done);
  kernels::Stream stream(kernels::find_device("cpu"));
  const auto classifier = mae::load_classifier(stream, best, kernels::DType::f32);
  const mae::Features expected =
      mae::encoder_features(stream, *classifier, mae::open_dataset(t.data + ":test", {.channels = 1}));
  CHECK(elements(out, "(50, 16)") == bytes_of(expected.values));
  const test::Answer neighbours =
      answer({"knn", "--checkpoint", best, "--data", t.data, "--k", "5", "--baselines", "--json", json});
  INFO(neighbours.error);
  REQUIRE(neighbours.code == apps::done);
  CHECK_THAT(neighbours.output, ContainsSubstring("classifier, mean after 1 epochs"));
  REQUIRE(answer({"probe", "--checkpoint", best, "--data", t.data}).code == apps::done);
  const test::Answer other =
      answer({"embed", "--checkpoint", best, "--data", t.data, "--out", out, "--features", "cls"});
  CHECK(other.code == apps::bad_input);
  CHECK_THAT(other.error,
             ContainsSubstring("the head of this classifier sees \"mean\"") && ContainsSubstring("--features auto"));
}
