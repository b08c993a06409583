// `mae pack`: training on what it wrote is training on the source, and whatever ends it leaves nothing half.
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/files.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::mae_answer;
using test::Words;

/// DIR/<class>/<n>.png, grey, of different sizes.
void write_folder(const std::string& folder, int count) {
  for (int i = 0; i < count; ++i) {
    mae::Image image = mae::make_image(16 + i % 5, 16 + i % 7, 1, kernels::DType::u8);
    for (std::size_t p = 0; p < image.pixels.size(); ++p)
      image.pixels[p] = static_cast<std::byte>((static_cast<std::size_t>(i) * 31 + p * 7) % 251);
    const std::string path = folder + (i % 3 == 0 ? "/birds/" : "/cats/") + std::to_string(i) + ".png";
    fs::create_directories(fs::path(path).parent_path());
    mae::write_png(path, image);
  }
}

std::string log_of(const std::string& data, const std::string& run) {
  const test::Answer answer = mae_answer(test::pretrain_words(data, run));
  INFO(answer.error);
  REQUIRE(answer.code == apps::done);
  return engine::read_file(run + "/log.jsonl");
}

/// The part of `mae data` that is about pixels, labels and sizes.
std::string contents_of(const std::string& data) {
  const test::Answer answer = mae_answer({"data", data, "--channels", "1"});
  CHECK(answer.code == apps::done);
  return answer.output.substr(answer.output.find("\nimages "));
}

}  // namespace

TEST_CASE("training on packed images is training on their source, bit by bit") {
  const TestFolder folder;
  write_folder(folder.file("source"), 24);
  const test::Answer packing = mae_answer({"pack", folder.file("source"), "--out", folder.file("packed")});
  INFO(packing.error);
  REQUIRE(packing.code == apps::done);
  CHECK_THAT(packing.output, ContainsSubstring("images   24\n") && ContainsSubstring("classes  2\n") &&
                                 ContainsSubstring("3 channels of 8 bits, as stored") &&
                                 ContainsSubstring(" in 1 shard\n"));
  CHECK(log_of(folder.file("packed"), folder.file("run-packed")) ==
        log_of(folder.file("source"), folder.file("run-source")));
  CHECK(contents_of(folder.file("packed")) == contents_of(folder.file("source")));
  CHECK_THAT(contents_of(folder.file("packed")), ContainsSubstring("birds"));
}

TEST_CASE("splits are packed one by one, and a set without files too") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 30, 16);
  test::write_idx(folder.path(), "t10k", 12, 16);
  const std::string out = folder.file("all");
  const test::Answer train = mae_answer({"pack", folder.path(), "--out", out + "/train", "--workers", "3"});
  CHECK(train.code == apps::done);
  CHECK_THAT(train.output, ContainsSubstring("not packed: " + folder.path() + ":test"));
  CHECK(mae_answer({"pack", folder.path() + ":test", "--out", out + "/test"}).code == apps::done);
  CHECK(contents_of(out) == contents_of(folder.path()));
  CHECK(contents_of(out + ":test") == contents_of(folder.path() + ":test"));
}

TEST_CASE("damaged files are left out by name") {
  const TestFolder folder;
  write_folder(folder.file("source"), 10);
  std::ofstream(folder.file("source/cats/1.png")) << "no image";
  const Words words{"pack", folder.file("source"), "--out", folder.file("packed")};
  const test::Answer refused = mae_answer(words);
  CHECK(refused.code == apps::bad_input);
  CHECK_THAT(refused.error, ContainsSubstring("cats/1.png") && ContainsSubstring("--max-damaged"));
  CHECK(!fs::exists(folder.file("packed")));
  const test::Answer allowed = mae_answer(joined(words, {"--max-damaged", "0.1"}));
  CHECK(allowed.code == apps::done);
  CHECK_THAT(allowed.output, ContainsSubstring("9, and 1 left out") && ContainsSubstring("cats/1.png"));
}

TEST_CASE("what cannot be packed is refused before anything is written") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 4, 16);
  const Words words{"pack", folder.path(), "--out", folder.file("packed")};
  for (const Words& wrong : {Words{"--size", "-1"}, Words{"--shard-mb", "0"}, Words{"--workers", "-1"},
                             Words{"--channels", "65"}, Words{"--max-damaged", "2"}}) {
    INFO(wrong[0]);
    const test::Answer answer = mae_answer(joined(words, wrong));
    CHECK(answer.code == apps::bad_usage);
    CHECK_THAT(answer.error, ContainsSubstring(wrong[0]));
  }
  CHECK(!fs::exists(folder.file("packed")));
  CHECK(mae_answer(words).code == apps::done);
  const test::Answer again = mae_answer(words);
  CHECK(again.code == apps::bad_input);
  CHECK_THAT(again.error, ContainsSubstring("not empty"));
  const test::Answer over = mae_answer({"data", folder.file("packed"), "--json", folder.file("packed/index.json")});
  CHECK_THAT(over.error, ContainsSubstring("belongs to the data set"));
  CHECK(mae_answer({"data", folder.file("packed")}).code == apps::done);
}

TEST_CASE("a disk that is full leaves nothing, whichever write it fails") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 3, 16);
  static int left = 0;
  const engine::SystemCalls before = engine::system_calls;
  engine::system_calls.write = [](int file, const void* data, std::size_t bytes) -> ssize_t {
    if (--left < 0) return errno = ENOSPC, -1;
    return ::write(file, data, bytes);
  };
  for (int writes = 0; writes < 5; ++writes) {  // three images, the table, the index
    INFO(writes);
    left = writes;
    const test::Answer answer = mae_answer({"pack", folder.path(), "--out", folder.file("packed")});
    CHECK(answer.code == apps::bad_input);
    CHECK_THAT(answer.error, ContainsSubstring("No space left on device") && ContainsSubstring("/packed/"));
    CHECK(!fs::exists(folder.file("packed")));
  }
  left = 5;
  CHECK(mae_answer({"pack", folder.path(), "--out", folder.file("packed")}).code == apps::done);
  engine::system_calls = before;
}

TEST_CASE("killed at any point, it leaves nothing that opens as a data set") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 4, 512);  // 262,144 bytes each
  const Words words{"pack", folder.path(), "--out", folder.file("packed"), "--shard-mb", "1"};
  const std::string output = folder.file("output");
  const auto killed_at = [&](const std::string& point, int count) {
    const Words fatal{point, std::to_string(count)};
    const int status = test::wait_for(test::start("mae_faults", joined(fatal, words), output));
    INFO(point << " " << count << "\n" << engine::read_file(output));
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    const test::Answer opened = mae_answer({"data", folder.file("packed")});
    CHECK(opened.code == apps::bad_input);
    CHECK_THAT(opened.error, ContainsSubstring("mae pack") || ContainsSubstring("holds no"));
    CHECK_THAT(mae_answer(words).error, ContainsSubstring("not empty"));
    fs::remove_all(folder.file("packed"));
  };
  for (const int count : {1, 2, 4, 5, 6}) killed_at("after write", count);
  for (const char* point : {"before fsync", "before rename"})
    for (const int count : {1, 2, 3, 4}) killed_at(point, count);
  for (const int count : {1, 2, 3}) killed_at("after rename", count);
  CHECK(mae_answer(words).code == apps::done);
}

TEST_CASE("asked to stop, it says so and leaves nothing") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 4, 16);
  engine::save_fault = [](std::string_view point, const std::string&) {
    if (point == "after write") raise(SIGTERM);
  };
  const test::Answer answer = mae_answer({"pack", folder.path(), "--out", folder.file("packed")});
  engine::save_fault = nullptr;
  CHECK(answer.code == apps::interrupted);
  CHECK_THAT(answer.error, ContainsSubstring("stopped by SIGTERM"));
  CHECK(!fs::exists(folder.file("packed")));
}
