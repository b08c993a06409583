// pretrain, reconstruct and probe, one after the other, as a user types them.
#include <filesystem>
#include <string>
#include <vector>

#include "engine/files.h"
#include "engine/json.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::mae_command;

/// A model that learns something in a second.
test::Words pretrain_words(const std::string& data, const std::string& out) {
  return test::joined(test::pretrain_words(data, out),
                      {"--dim", "32", "--depth", "2", "--decoder-dim", "24", "--decoder-heads", "3", "--batch", "32",
                       "--epochs", "6", "--warmup-epochs", "1", "--blr", "0.02", "--pictures", "3"});
}

}  // namespace

TEST_CASE("a run from images to accuracy") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 320, 16);
  test::write_idx(folder.path(), "t10k", 100, 16);
  const std::string run = folder.file("run");
  const std::vector<std::string> words = pretrain_words(folder.path(), run);
  REQUIRE(mae_command(words) == apps::done);
  for (const char* file : {"config.toml", "log.jsonl", "events.jsonl", "pictures/learning.png", "pictures/loss.png"})
    CHECK(fs::exists(run + "/" + file));
  const std::string config = engine::read_file(run + "/config.toml");
  for (const char* key : {"commit", "compiler", "data_fingerprint", "command", "matmul="})
    CHECK_THAT(config, ContainsSubstring(key));
  const std::string events = engine::read_file(run + "/events.jsonl");
  CHECK_THAT(events, ContainsSubstring("validation_loss"));
  CHECK_THAT(events, ContainsSubstring("\"execution\":{\"embed_kept\":true"));
  CHECK(mae::read_image(run + "/pictures/learning.png").width > 200);

  SECTION("an existing run is refused, and nothing of it changes") {
    const std::string log = engine::read_file(run + "/log.jsonl");
    CHECK(mae_command(words) == apps::bad_input);
    CHECK(engine::read_file(run + "/log.jsonl") == log);
  }
  SECTION("a finished run resumes to nothing to do") {
    std::vector<std::string> resume = words;
    resume.insert(resume.end(), {"--resume", "auto"});
    const std::string log = engine::read_file(run + "/log.jsonl");
    CHECK(mae_command(resume) == apps::done);
    CHECK(engine::read_file(run + "/log.jsonl") == log);
  }
  SECTION("resumed as another run it is refused, and config.toml stays") {
    for (const std::vector<std::string>& change :
         {std::vector<std::string>{"--seed", "9"}, {"--batch", "16"}, {"--mask-ratio", "0.5"}}) {
      INFO(change[0]);
      std::vector<std::string> other = words;
      other.insert(other.end(), {"--resume", "auto"});
      other.insert(other.end(), change.begin(), change.end());
      CHECK(mae_command(other) == apps::bad_input);
      CHECK(engine::read_file(run + "/config.toml") == config);
    }
  }
  SECTION("reconstruct and probe take its checkpoint") {
    std::string checkpoint;
    for (const auto& entry : fs::directory_iterator(run + "/checkpoints"))
      checkpoint = std::max(checkpoint, entry.path().string());
    mae::Image image = mae::make_image(20, 30, 1, kernels::DType::u8);
    for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::byte>(i * 7);
    mae::write_png(folder.file("image.png"), image);
    const std::string strip = folder.file("strip.png"), table = folder.file("table.json");
    CHECK(mae_command({"reconstruct", "--checkpoint", checkpoint, folder.file("image.png"), "--out", strip}) ==
          apps::done);
    CHECK(mae::read_image(strip).width > 4 * 16);
    CHECK(mae_command({"probe", "--checkpoint", checkpoint, "--data", folder.path(), "--labels", "0,100", "--baselines",
                       "--json", table}) == apps::done);
    const auto refused = [&](std::vector<std::string> probe_words, apps::Exit code) {
      probe_words.insert(probe_words.begin(), {"probe", "--checkpoint", checkpoint, "--data", folder.path()});
      CHECK(mae_command(probe_words) == code);
    };
    refused({"--labels", "2.5"}, apps::bad_usage);
    refused({"--labels", "9"}, apps::bad_usage);
    refused({"--labels", "321"}, apps::bad_usage);
    refused({"--json", folder.file("nowhere/table.json")}, apps::bad_input);
    refused({"--val-data", folder.file("image.png")}, apps::bad_input);
    const engine::Json results = engine::parse_json(engine::read_file(table), table);
    CHECK(results.at("protocol").as_string() == "quick");
    CHECK(results.at("results").as_array().size() == 6);
    for (const engine::Json& cell : results.at("results").as_array()) {
      CHECK(cell.at("top1").as_double() > 10);  // ten classes whose pictures differ
      CHECK(cell.at("top1").as_double() <= 100);
    }
  }
}

TEST_CASE("profiled steps are those of the run without, and leave a trace") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 96, 16);
  const std::string plain = folder.file("plain"), profiled = folder.file("profiled");
  const auto train = [&](const std::string& out, const test::Words& more) {
    return mae_command(test::joined(pretrain_words(folder.path(), out), more));
  };
  REQUIRE(train(plain, {"--stop-after", "6"}) == apps::done);
  REQUIRE(train(profiled, {"--stop-after", "6", "--profile", "2"}) == apps::done);
  CHECK(engine::read_file(plain + "/log.jsonl") == engine::read_file(profiled + "/log.jsonl"));
  CHECK_FALSE(fs::exists(plain + "/trace.json"));
  const engine::Json trace = engine::parse_json(engine::read_file(profiled + "/trace.json"), "trace.json");
  double end = 0;
  int kernels = 0, updates = 0;
  for (const engine::Json& e : trace.at("traceEvents").as_array()) {
    if (e.at("tid").as_string() != "kernels") continue;
    CHECK(e.at("ts").as_double() >= end * (1 - 1e-12));  // one after the other
    end = e.at("ts").as_double() + e.at("dur").as_double();
    ++kernels;
    updates += e.at("name").as_string().starts_with("adamw=");
  }
  CHECK(kernels > 100);
  CHECK(updates == 2);
  CHECK(train(folder.file("short"), {"--stop-after", "3", "--profile", "5"}) == apps::done);  // one step of the five
  CHECK(fs::exists(folder.file("short") + "/trace.json"));
  CHECK(train(folder.file("none"), {"--stop-after", "2", "--profile", "5"}) == apps::done);
  CHECK_FALSE(fs::exists(folder.file("none") + "/trace.json"));
}

TEST_CASE("a loss that is not finite ends with 3 and leaves the run as it was") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 320, 16);
  std::vector<std::string> words = pretrain_words(folder.path(), folder.file("run"));
  words.insert(words.end(), {"--blr", "1e30"});
  CHECK(mae_command(words) == apps::not_finite);
  const std::string log = engine::read_file(folder.file("run/log.jsonl"));
  CHECK(log.find("null") == std::string::npos);
}
