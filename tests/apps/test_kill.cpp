// labels: slow
// The program killed at four random moments (fixed seed) and resumed ends with the log and the weights of a run that
// was left alone.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"

namespace {

namespace fs = std::filesystem;

pid_t start(const std::string& data, const std::string& out) {
  const pid_t child = fork();
  if (child != 0) return child;
  const std::string log = out + ".output";
  if (!freopen(log.c_str(), "a", stdout) || !freopen(log.c_str(), "a", stderr)) _exit(99);
  const std::string program = std::string(MAE_BINARY_DIR) + "/mae";
  execl(program.c_str(), "mae", "pretrain", "--data", data.c_str(), "--out", out.c_str(), "--resume", "auto",
        "--image-size", "16", "--channels", "1", "--mean", "0.5", "--std", "0.25", "--patch", "4", "--dim", "32",
        "--depth", "2", "--heads", "2", "--decoder-dim", "24", "--decoder-depth", "1", "--decoder-heads", "3",
        "--batch", "32", "--epochs", "12", "--warmup-epochs", "1", "--blr", "0.01", "--seed", "7", "--pictures", "2",
        static_cast<char*>(nullptr));
  _exit(98);
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

std::size_t lines(const std::string& path) {
  if (!fs::exists(path)) return 0;
  const std::string text = engine::read_file(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string final_checkpoint(const std::string& run) {
  std::string last;
  for (const auto& entry : fs::directory_iterator(run + "/checkpoints")) last = std::max(last, entry.path().string());
  return engine::read_file(last);
}

}  // namespace

TEST_CASE("killed four times and resumed, a run ends with the same bits") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 640, 16);
  const std::string whole = folder.file("whole"), killed = folder.file("killed");
  REQUIRE(wait_for(start(folder.path(), whole)) == 0);
  const std::size_t steps = lines(whole + "/log.jsonl");
  REQUIRE(steps == 12 * 20);

  std::mt19937 random(2022);
  for (int kill_number = 1; kill_number <= 4; ++kill_number) {
    const std::size_t after = steps * static_cast<std::size_t>(kill_number) / 6 + random() % (steps / 12);
    const auto delay = std::chrono::microseconds(random() % 20000);
    const pid_t child = start(folder.path(), killed);
    while (lines(killed + "/log.jsonl") < after) {
      REQUIRE(waitpid(child, nullptr, WNOHANG) == 0);  // it must not end by itself
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(delay);
    kill(child, SIGKILL);
    const int status = wait_for(child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  }
  INFO(engine::read_file(killed + ".output"));
  REQUIRE(wait_for(start(folder.path(), killed)) == 0);
  CHECK(engine::read_file(killed + "/log.jsonl") == engine::read_file(whole + "/log.jsonl"));
  CHECK(final_checkpoint(killed) == final_checkpoint(whole));
  for (const auto& entry : fs::recursive_directory_iterator(killed))
    CHECK(!entry.path().string().ends_with(".partial"));
}
