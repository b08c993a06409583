// Everything that users are known to get wrong: each ends in one error that names the file or flag, and nothing is made
// or changed.
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "engine/checkpoint_folder.h"
#include "engine/checksum.h"
#include "engine/files.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::Words;

void write(const std::string& path, const std::string& bytes) {
  engine::write_atomically(path, [&](engine::FileWriter& file) { file.write(bytes); });
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

std::map<std::string, std::string> files(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) found[entry.path().string()] = engine::read_file(entry.path().string());
  return found;
}

/// One error, of this code, that names the culprit.
void check_refused(const Words& words, int code, const std::string& named) {
  const test::Answer answer = test::mae_answer(words);
  INFO(answer.error);
  CHECK(answer.code == code);
  CHECK(count(answer.error, "error: ") == 1);
  CHECK_THAT(answer.error, ContainsSubstring(named));
}

/// A grey PNG whose pixels depend on `value`.
void write_image(const std::string& path, int value, int side = 16) {
  mae::Image image = mae::make_image(side, side, 1, kernels::DType::u8);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::byte>((static_cast<std::size_t>(value) * 31 + i * 7) % 251);
  mae::write_png(path, image);
}

/// Acts as a user who is not root, for whom folders can be closed.
struct Nobody {
  const bool root = ::geteuid() == 0;
  Nobody() {
    if (root) REQUIRE(::seteuid(65534) == 0);
  }
  ~Nobody() {
    if (root && ::seteuid(0) != 0) std::abort();
  }
};

}  // namespace

TEST_CASE("flags and keys that cannot be") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run"), config = folder.file("config.toml");
  const Words words = test::pretrain_words(folder.path(), run);
  const auto refused = [&](const Words& more, int code, const std::string& named) {
    INFO(more[0]);
    check_refused(joined(words, more), code, named);
    CHECK(!fs::exists(run));
  };
  for (const char* ratio : {"0", "1", "-0.5", "1.5"}) refused({"--mask-ratio", ratio}, apps::bad_input, "mask");
  refused({"--mask-ratio", "nan"}, apps::bad_usage, "--mask-ratio");
  refused({"--heads", "3"}, apps::bad_input, "heads");
  refused({"--batch", "33"}, apps::bad_input, "--batch");
  refused({"--batchs", "8"}, apps::bad_usage, "--batch");  // and the flag that was meant
  refused({"--save-every", "soon"}, apps::bad_usage, "save_every");
  write(config, "batch = 8\nbatchs = 9\n");
  refused({"--config", config}, apps::bad_usage, config + ":2");
  write(config, "batch = [8\n");
  refused({"--config", config}, apps::bad_usage, config + ":");
}

TEST_CASE("folders and files that hold no data set") {
  const TestFolder folder;
  const std::string data = folder.file("data"), run = folder.file("run");
  fs::create_directory(data);
  const auto refused = [&](const std::string& path, const std::string& named) {
    INFO(path);
    check_refused(test::pretrain_words(path, run), apps::bad_input, named);
    CHECK(!fs::exists(run));
  };
  refused(data, data);  // an empty folder
  refused(folder.file("nowhere"), "nowhere");
  write(data + "/notes.bin", "short");
  refused(data + "/notes.bin", "notes.bin");

  const TestFolder idx;
  test::write_idx(idx.path(), "train", 32, 16);
  const std::string images = idx.file("train-images-idx3-ubyte"), good = engine::read_file(images);
  write(images, good.substr(0, good.size() - 1));
  refused(idx.path(), images);
  write(images, good + "x");
  refused(idx.path(), images);
  std::string magic = good;
  magic[2] = 0x07;
  write(images, magic);
  refused(idx.path(), images);
}

TEST_CASE("an unreadable image is named, replaced and counted; too many end the run") {
  const TestFolder folder;
  const std::string data = folder.file("data");
  fs::create_directory(data);
  for (int i = 0; i < 40; ++i) write_image(data + "/" + std::to_string(100 + i) + ".png", i);
  fs::resize_file(data + "/117.png", 60);
  const auto words = [&](const std::string& run) { return test::pretrain_words(data, folder.file(run)); };
  const test::Answer answer = test::mae_answer(joined(words("run"), {"--max-damaged", "0.03", "--epochs", "2"}));
  INFO(answer.error);
  CHECK(answer.code == apps::done);
  CHECK(count(answer.error, "117.png") == 1);
  CHECK(count(engine::read_file(folder.file("run/events.jsonl")), "117.png") == 1);
  CHECK(test::mae_command(joined(words("again"), {"--max-damaged", "0.03", "--epochs", "2", "--workers", "3"})) ==
        apps::done);
  CHECK(engine::read_file(folder.file("run/log.jsonl")) == engine::read_file(folder.file("again/log.jsonl")));
  check_refused(joined(words("strict"), {"--max-damaged", "0"}), apps::bad_input, "117.png");
}

TEST_CASE("a folder that may not be written to") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string closed = folder.file("closed");
  fs::create_directory(closed);
  REQUIRE(::chmod(closed.c_str(), 0555) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  {
    const Nobody nobody;
    check_refused(test::pretrain_words(folder.path(), closed + "/run"), apps::bad_input, closed + "/run");
    check_refused({"data", folder.path(), "--json", closed + "/a.json"}, apps::bad_input,
                  "cannot write into the folder of");
  }
  CHECK(fs::is_empty(closed));
}

TEST_CASE("checkpoints that are cut, bent or of another model") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run"), image = folder.file("image.png"), strip = folder.file("strip.png");
  write_image(image, 3);
  REQUIRE(test::mae_command(test::pretrain_words(folder.path(), run)) == apps::done);
  const std::string path = engine::newest_whole_checkpoint(run + "/checkpoints")->path, good = engine::read_file(path),
                    bad = folder.file("bad.safetensors");
  const auto refused = [&](const std::string& bytes, const std::string& named) {
    write(bad, bytes);
    const auto before = files(folder.path());
    check_refused({"reconstruct", "--checkpoint", bad, image, "--out", strip}, apps::bad_input, named);
    CHECK(files(folder.path()) == before);
  };
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{8}, good.size() / 50, good.size() / 2, good.size() - 1}) {
    INFO(size);
    refused(good.substr(0, size), bad);
  }
  for (const std::size_t at : {std::size_t{20}, good.size() - 1}) {  // in the header, in the data
    std::string bent = good;
    bent[at] = static_cast<char>(bent[at] ^ 0x40);
    refused(bent, bad);
  }
  std::string shape = good;  // a weight of another shape and as many values, in a file without a checksum
  shape.replace(shape.find(engine::checksum_key), 5, "crc00");
  const std::string is = "\"shape\":[16,16]", other = "\"shape\":[8,32] ";
  shape.replace(shape.find(is), is.size(), other);
  refused(shape, "is (8, 32), the model's is (16, 16)");
  check_refused(joined(test::pretrain_words(folder.path(), run), {"--resume", "auto", "--dim", "32"}), apps::bad_input,
                path);
}

TEST_CASE("a table that names files which are not there") {
  const TestFolder folder;
  const std::string table = folder.file("images.csv"), run = folder.file("run");
  write_image(folder.file("a.png"), 1);
  write(table, "path,label\na.png,0\nb.png,1\nsub/c.png,1\n");
  check_refused(test::pretrain_words(table, run), apps::bad_input, "2 of 3 names are no files; the first: ");
  check_refused(test::pretrain_words(table, run), apps::bad_input, table + ":3");
  CHECK(!fs::exists(run));
}

TEST_CASE("a checkpoint that may not be read is not damaged: the run waits for it") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  const Words words = joined(test::pretrain_words(folder.path(), run), {"--resume", "auto", "--epochs", "2"});
  REQUIRE(test::mae_command(joined(words, {"--stop-after", "4"})) == apps::done);
  const std::string path = engine::newest_whole_checkpoint(run + "/checkpoints")->path;
  fs::permissions(path, fs::perms::none);
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(run, fs::perms::all);
  {
    const Nobody nobody;
    check_refused(words, apps::bad_input, path + "\ntry: make it readable");
  }
  CHECK(fs::exists(path));
  fs::permissions(path, fs::perms::owner_all);
  CHECK(test::mae_command(words) == apps::done);
}

TEST_CASE("a run whose checkpoints are gone starts over, and says so") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  const Words words = joined(test::pretrain_words(folder.path(), run), {"--resume", "auto"});
  REQUIRE(test::mae_command(words) == apps::done);
  const std::string log = engine::read_file(run + "/log.jsonl");
  fs::remove_all(run + "/checkpoints");
  const test::Answer answer = test::mae_answer(words);
  CHECK(answer.code == apps::done);
  CHECK_THAT(answer.error, ContainsSubstring("no checkpoint to go on from"));
  CHECK(engine::read_file(run + "/log.jsonl") == log);
  CHECK(engine::read_file(run + "/log.jsonl.old") == log);
}

TEST_CASE("a run in the folder of its images, and images that vanish while it trains") {
  const TestFolder folder;
  const std::string data = folder.file("data"), run = folder.file("run");
  for (const char* name : {"a", "b"}) {
    fs::create_directories(data + "/" + name);
    for (int i = 0; i < 8; ++i) write_image(data + "/" + name + "/" + std::to_string(i) + ".png", i);
  }
  for (const std::string& inside : {data + "/run", data + "/a/run"}) {
    check_refused(test::pretrain_words(data, inside), apps::bad_input, "where: --out");
    CHECK(!fs::exists(inside));
  }

  const Words words = joined(test::pretrain_words(data, run), {"--epochs", "1000000", "--save-every", "1h"});
  const pid_t child = test::start("mae", words, run + ".output");
  for (int i = 0; i < 60000 && (!fs::exists(run + "/log.jsonl") || fs::file_size(run + "/log.jsonl") == 0); ++i)
    ::usleep(1000);
  fs::rename(data, data + ".gone");
  const int status = test::wait_for(child);
  INFO(engine::read_file(run + ".output"));
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == apps::bad_input));
  CHECK_THAT(engine::read_file(run + ".output"), ContainsSubstring("then the same line with --resume auto"));
  CHECK_THAT(engine::read_file(run + "/events.jsonl"), ContainsSubstring("\"event\":\"stopped\""));
  const std::string log = engine::read_file(run + "/log.jsonl");
  const auto saved = engine::newest_whole_checkpoint(run + "/checkpoints");
  REQUIRE(saved);
  CHECK(saved->checkpoint.step == static_cast<std::int64_t>(count(log, "\n")));
}

TEST_CASE("images of one class can be pretrained on, and not probed") {
  const TestFolder folder;
  const std::string run = folder.file("run"), data = folder.file("data");
  for (const char* split : {"train", "val"}) {
    fs::create_directories(data + "/" + split + "/cat");
    for (int i = 0; i < 8; ++i) write_image(data + "/" + split + "/cat/" + std::to_string(i) + ".png", i);
  }
  REQUIRE(test::mae_command(test::pretrain_words(data, run)) == apps::done);
  const auto found = engine::newest_whole_checkpoint(run + "/checkpoints");
  REQUIRE(found);
  const auto before = files(folder.path());
  check_refused({"probe", "--checkpoint", found->path, "--data", data}, apps::bad_input, "there is only one class");
  CHECK(files(folder.path()) == before);
}
