// A run that is asked to end saves, says 75, and goes on later as if nothing had happened.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "apps/stop_request.h"
#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "kernels/core/sanitizer.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::Words;

constexpr bool slow = kernels::with_address_sanitizer;

std::string log_of(const std::string& run) {
  return fs::exists(run + "/log.jsonl") ? engine::read_file(run + "/log.jsonl") : "";
}

}  // namespace

TEST_CASE("times are numbers with units, large units first") {
  CHECK(apps::parse_duration("3h50m") == 13800);
  CHECK(apps::parse_duration("10m") == 600);
  CHECK(apps::parse_duration("1d12h0.5s") == 129600.5);
  for (const char* wrong : {"", "10", "m", "10m3h", "5m5m", "-5m", "1e3s", "3x", "1..2s", "10 m"}) {
    INFO(wrong);
    CHECK(apps::parse_duration(wrong) < 0);
  }
}

TEST_CASE("SIGTERM, SIGINT and SIGHUP finish the step, save and end with 75") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 160, 16);
  const Words more{"--epochs", slow ? "15" : "60", "--save-every", "1h", "--resume", "auto"};
  const auto words = [&](const std::string& run) { return joined(test::pretrain_words(folder.path(), run), more); };
  const std::string whole = folder.file("whole"), run = folder.file("run");
  REQUIRE(test::mae_command(words(whole)) == apps::done);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    const std::string before = log_of(run);
    const pid_t child = test::start("mae", words(run), run + ".output");
    while (log_of(run).size() <= before.size()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(child, signal);
    const int status = test::wait_for(child);
    INFO(engine::read_file(run + ".output"));
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == apps::interrupted);
    const auto saved = engine::newest_whole_checkpoint(run + "/checkpoints");
    REQUIRE(saved);
    const std::string log = log_of(run);
    CHECK(saved->checkpoint.step == std::count(log.begin(), log.end(), '\n'));
  }
  CHECK_THAT(engine::read_file(run + ".output"), ContainsSubstring("SIGHUP: saved after step"));
  CHECK_THAT(engine::read_file(run + "/events.jsonl"), ContainsSubstring("\"reason\":\"SIGTERM\""));
  REQUIRE(test::mae_command(words(run)) == apps::done);
  CHECK(log_of(run) == log_of(whole));
}

TEST_CASE("a signal that was ignored stays ignored, and means what it meant after the run") {
  const auto before = ::signal(SIGHUP, SIG_IGN);
  {
    const apps::StopRequest stop(1e300);
    raise(SIGHUP);
    CHECK(stop.reason().empty());
    raise(SIGTERM);
    CHECK(stop.reason() == "SIGTERM");
  }
  CHECK(::signal(SIGHUP, before) == SIG_IGN);
  const apps::StopRequest over(0);
  CHECK(over.reason() == "--max-time");
}

TEST_CASE("one line repeated while it ends with 75 makes the run of one go") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 160, 16);
  const Words more{"--epochs", slow ? "10" : "40", "--save-every", "0.05s", "--resume", "auto"};
  const auto words = [&](const std::string& run) { return joined(test::pretrain_words(folder.path(), run), more); };
  const std::string whole = folder.file("whole"), run = folder.file("run");
  REQUIRE(test::mae_command(words(whole)) == apps::done);
  const std::string piece = slow ? "1s" : "0.3s";  // with the sanitizer the start-up alone takes some tenths
  int pieces = 1;
  for (int code; (code = test::mae_command(joined(words(run), {"--max-time", piece}))) != apps::done; ++pieces) {
    REQUIRE(code == apps::interrupted);
    REQUIRE(pieces < 200);
  }
  INFO(pieces);
  CHECK(log_of(run) == log_of(whole));
}

TEST_CASE("a time that is over before the first step still makes one step a start: no queue goes round in circles") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);  // 4 steps
  const std::string run = folder.file("run");
  const Words words = joined(test::pretrain_words(folder.path(), run), {"--resume", "auto", "--max-time", "0.0001s"});
  for (int step = 1; step <= 3; ++step) {
    REQUIRE(test::mae_command(words) == apps::interrupted);
    CHECK(engine::newest_whole_checkpoint(run + "/checkpoints")->checkpoint.step == step);
  }
  CHECK(test::mae_command(words) == apps::done);
}

TEST_CASE("a signal while the data are opened ends with 75, too") {
  const TestFolder folder;
  for (int i = 0; i < 8; ++i)
    mae::write_png(folder.file(std::to_string(i) + ".png"), mae::make_image(16, 16, 1, kernels::DType::u8));
  const std::string list = folder.file("list.txt"), run = folder.file("run");
  engine::write_atomically(list, [](engine::FileWriter& file) {
    for (int i = 0; i < 8; ++i) file.write(std::to_string(i) + ".png\n");
  });
  const Words words = joined(test::pretrain_words(list, run), {"--resume", "auto"});
  const engine::SystemCalls before = engine::system_calls;
  engine::system_calls.pread = [](int file, void* data, std::size_t bytes, off_t offset) -> ssize_t {
    raise(SIGTERM);
    return ::pread(file, data, bytes, offset);
  };
  const test::Answer answer = test::mae_answer(words);
  engine::system_calls = before;
  CHECK(answer.code == apps::interrupted);
  CHECK_THAT(answer.output, ContainsSubstring("SIGTERM: before a step was made; --resume auto starts"));
  CHECK(log_of(run).empty());
  CHECK(test::mae_command(words) == apps::done);
}

TEST_CASE("times that are none are refused") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const Words words = test::pretrain_words(folder.path(), folder.file("run"));
  for (const Words& wrong : std::vector<Words>{{"--max-time", "3"}, {"--max-time", "0s"}, {"--save-every", "ten"}}) {
    INFO(wrong[0] << " " << wrong[1]);
    CHECK(test::mae_command(joined(words, wrong)) == apps::bad_usage);
  }
  CHECK(!fs::exists(folder.file("run")));
}
