// labels: slow
// A run that is killed again and again, at moments drawn by a fixed seed, every second time at a named point of a
// save, ends with the log and the weights of a run that was left alone, and never loses a checkpoint.
//
// MAE_KILLS=200 test_apps "[#test_kill]" kills it that often; 8 without it.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::Words;

std::size_t lines(const std::string& path) {
  std::ifstream file(path);  // a run that resumes may cut it meanwhile
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

/// Steps of the newest checkpoint; all of the folder must be whole.
std::int64_t newest_step(const std::string& run) {
  const auto found = engine::newest_whole_checkpoint(run + "/checkpoints");
  if (!found) return 0;
  CHECK(found->damaged.empty());
  return found->checkpoint.step;
}

/// Kills the run after some more log lines.
int kill_after(const std::string& run, const Words& words, std::size_t more, std::chrono::microseconds delay) {
  const std::size_t wanted = lines(run + "/log.jsonl") + more;
  const pid_t child = test::start("mae", words, run + ".output");
  while (lines(run + "/log.jsonl") < wanted && waitpid(child, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(delay);
  kill(child, SIGKILL);
  return test::wait_for(child);
}

}  // namespace

TEST_CASE("killed at any moment and resumed, a run ends with the same bits") {
  const char* wanted = std::getenv("MAE_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 8;
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 160, 16);
  const Words more{"--resume", "auto", "--seed", "7", "--epochs", std::to_string(3 * kills), "--pictures", "2"};
  const std::string whole = folder.file("whole"), killed = folder.file("killed");
  const auto words = [&](const std::string& run) {
    return test::joined(test::pretrain_words(folder.path(), run), more);
  };
  REQUIRE(test::wait_for(test::start("mae", words(whole), whole + ".output")) == 0);
  REQUIRE(lines(whole + "/log.jsonl") == 20u * 3 * static_cast<unsigned>(kills));

  std::mt19937 random(2022);
  std::int64_t newest = 0;
  for (int i = 0; i < kills; ++i) {
    int status = 0;
    if (i % 2 == 0) {
      status = kill_after(killed, words(killed), 5 + random() % 36, std::chrono::microseconds(random() % 20000));
    } else {
      constexpr const char* points[] = {"after write", "before fsync", "before rename", "after rename"};
      const std::string point = points[random() % 4];
      const std::uint32_t count = 1 + random() % (point == "after write" ? 150 : 3);
      INFO(point << " " << count);
      const Words fatal{point, std::to_string(count)};
      status = test::wait_for(test::start("mae_faults", test::joined(fatal, words(killed)), killed + ".output"));
    }
    INFO("kill " << i << "\n" << engine::read_file(killed + ".output"));
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    const std::int64_t now = newest_step(killed);
    CHECK(now >= newest);
    newest = now;
  }
  INFO(engine::read_file(killed + ".output"));
  REQUIRE(test::wait_for(test::start("mae", words(killed), killed + ".output")) == 0);
  for (const char* log : {"/log.jsonl", "/log.txt"})
    CHECK(engine::read_file(killed + log) == engine::read_file(whole + log));
  const auto last = [](const std::string& run) {
    return engine::read_file(engine::newest_whole_checkpoint(run + "/checkpoints")->path);
  };
  CHECK((last(killed) == last(whole)));
  for (const auto& entry : fs::recursive_directory_iterator(killed))
    CHECK(!entry.path().string().ends_with(".partial"));
}
