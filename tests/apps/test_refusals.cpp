// What users get wrong is refused before a run is touched: the folder stays as it was, byte for byte.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/checksum.h"
#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;

int pretrain(const std::string& data, const std::string& out, const test::Words& more) {
  return test::mae_command(test::joined(test::pretrain_words(data, out), more));
}

std::map<std::string, std::string> files(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) found[entry.path().string()] = engine::read_file(entry.path().string());
  return found;
}

}  // namespace

TEST_CASE("a resume with another model, seed, batch or data changes nothing") {
  const TestFolder folder, other;
  test::write_idx(folder.path(), "train", 32, 16);
  test::write_idx(other.path(), "train", 40, 16);
  const std::string run = folder.file("run");
  REQUIRE(pretrain(folder.path(), run, {}) == apps::done);
  const auto before = files(run);
  for (const std::vector<std::string>& change :
       std::vector<std::vector<std::string>>{{"--dim", "32"}, {"--seed", "5"}, {"--batch", "4"}, {"--dtype", "f64"}}) {
    INFO(change[0]);
    std::vector<std::string> more{"--resume", "auto"};
    more.insert(more.end(), change.begin(), change.end());
    CHECK(pretrain(folder.path(), run, more) == apps::bad_input);
    CHECK(files(run) == before);
  }
  CHECK(pretrain(other.path(), run, {"--resume", "auto"}) == apps::bad_input);
  CHECK(files(run) == before);
  CHECK(pretrain(folder.path(), run, {"--resume", "auto", "--epochs", "2", "--dtype", "bf16"}) == apps::done);
}

TEST_CASE("a device that cannot do what is asked for is refused before anything is written") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  for (const test::Words& more : {test::Words{"--device", "simt", "--dtype", "f64"}, test::Words{"--device", "tpu"},
                                  test::Words{"--device", "h100-80"}, test::Words{"--row", "matmul=cublas"}}) {
    INFO(more[0] << " " << more[1]);
    const int code = pretrain(folder.path(), run, more);
    CHECK((code == apps::bad_input || code == apps::bad_usage));
    CHECK(!fs::exists(run));
  }
}

TEST_CASE("a picture that cannot be drawn stops nothing") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  test::write_idx(folder.path(), "t10k", 16, 16);
  const std::string run = folder.file("run"), checkpoint = run + "/checkpoints/checkpoint-0000000012.safetensors";
  REQUIRE(pretrain(folder.path(), run, {"--pictures", "2"}) == apps::done);
  REQUIRE(pretrain(folder.path(), run, {"--pictures", "3", "--epochs", "2", "--resume", "auto"}) == apps::done);
  engine::LineLog(run + "/events.jsonl").append(R"({"event":"epoch","validation_loss":null,"epoch":2.0})");
  fs::resize_file(run + "/pictures/1-first.safetensors", 5);
  CHECK(pretrain(folder.path(), run, {"--pictures", "3", "--epochs", "3", "--resume", "auto"}) == apps::done);
  CHECK(fs::exists(checkpoint));
}

TEST_CASE("a log that does not fit the checkpoint is said, a line that cannot be read is refused") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run"), log = run + "/log.jsonl";
  REQUIRE(pretrain(folder.path(), run, {}) == apps::done);
  engine::write_atomically(log, [](engine::FileWriter& file) { file.write("{\"epoch\":1}\n"); });
  CHECK(pretrain(folder.path(), run, {"--resume", "auto", "--epochs", "2"}) == apps::bad_input);
  fs::remove(log);
  CHECK(pretrain(folder.path(), run, {"--resume", "auto", "--epochs", "2"}) == apps::done);
}

TEST_CASE("what is no file is no data set") {
  const TestFolder folder;
  REQUIRE(::mkfifo(folder.file("pipe.bin").c_str(), 0600) == 0);
  CHECK(pretrain(folder.file("pipe.bin"), folder.file("run"), {}) == apps::bad_input);
}

TEST_CASE("options that no run can have leave no folder behind") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--batch", "33"},
                                                                                     {"--micro-batch", "-2"},
                                                                                     {"--keep", "0"},
                                                                                     {"--keep", "-1"},
                                                                                     {"--pictures", "-1"},
                                                                                     {"--workers", "-1"},
                                                                                     {"--beta1", "1"},
                                                                                     {"--weight-decay", "-1"},
                                                                                     {"--clip-grad", "-1"},
                                                                                     {"--epochs", "0.01"},
                                                                                     {"--epochs", "1e18"},
                                                                                     {"--crop-min", "2"},
                                                                                     {"--depth", "1000000"},
                                                                                     {"--mlp-ratio", "0.01"},
                                                                                     {"--save-every", "0"},
                                                                                     {"--validation-images", "0"}}) {
    INFO(wrong[0] << " " << wrong[1]);
    CHECK(pretrain(folder.path(), run, wrong) == apps::bad_input);
    CHECK(!fs::exists(run));
  }
}

TEST_CASE("a damaged newest checkpoint is set aside; where all are damaged, nothing changes") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  REQUIRE(pretrain(folder.path(), run, {"--save-every", "0.25"}) == apps::done);
  const std::string newest = run + "/checkpoints/checkpoint-0000000004.safetensors", log = run + "/log.jsonl",
                    older = run + "/checkpoints/checkpoint-0000000003.safetensors";
  const std::string good = engine::read_file(newest), lines = engine::read_file(log);
  fs::resize_file(newest, good.size() / 2);
  CHECK(pretrain(folder.path(), run, {"--save-every", "0.25", "--resume", "auto"}) == apps::done);
  CHECK((engine::read_file(newest) == good));
  CHECK(fs::exists(newest + ".damaged"));
  CHECK(engine::read_file(log) == lines);

  fs::resize_file(newest, good.size() / 2);
  fs::resize_file(older, 7);
  const auto before = files(run);
  CHECK(pretrain(folder.path(), run, {"--resume", "auto"}) == apps::bad_input);
  CHECK(files(run) == before);
}

TEST_CASE("a checkpoint of a newer format is refused, not passed over") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  REQUIRE(pretrain(folder.path(), run, {"--save-every", "0.25"}) == apps::done);
  const std::string newest = run + "/checkpoints/checkpoint-0000000004.safetensors";
  std::string bytes = engine::read_file(newest);
  bytes.replace(bytes.find(engine::checksum_key), 5, "crc00");  // as a file without a checksum, or it would be damaged
  const std::string version = "\"format_version\":\"1\"";
  bytes.replace(bytes.find(version), version.size(), "\"format_version\":\"9\"");
  engine::write_atomically(newest, [&](engine::FileWriter& file) { file.write(bytes); });
  const auto before = files(run);
  CHECK(pretrain(folder.path(), run, {"--resume", "auto"}) == apps::bad_input);
  CHECK(files(run) == before);
}

TEST_CASE("a folder is held by one run at a time") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  {
    const engine::Descriptor held = engine::hold_folder(run);
    CHECK(pretrain(folder.path(), run, {}) == apps::bad_input);
    CHECK(fs::is_empty(run));
  }
  CHECK(pretrain(folder.path(), run, {}) == apps::done);
}
