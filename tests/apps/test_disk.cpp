// A disk that fills up, writes short, or breaks: nothing is lost that was there, and the run says so.
#include <errno.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined;

std::string path_of(int file) { return fs::read_symlink("/proc/self/fd/" + std::to_string(file)).string(); }
bool is_checkpoint(int file) { return path_of(file).find("/checkpoint-") != std::string::npos; }
bool is_log(int file) { return path_of(file).ends_with("/log.jsonl"); }

int calls = 0;  // of what the fault below counts

/// The system's calls as they are, changed for one scope.
struct FaultyDisk {
  engine::SystemCalls before = engine::system_calls;
  explicit FaultyDisk(const std::function<void(engine::SystemCalls&)>& change) {
    calls = 0;
    change(engine::system_calls);
  }
  ~FaultyDisk() { engine::system_calls = before; }
};

struct Setting {
  TestFolder folder;
  std::string run = folder.file("run"), whole = folder.file("whole");
  test::Words words;

  Setting() {
    test::write_idx(folder.path(), "train", 32, 16);  // 4 steps an epoch
    REQUIRE(test::mae_command(joined(on(whole), {"--epochs", "5"})) == apps::done);
  }
  test::Words on(const std::string& out) const {
    return joined(test::pretrain_words(folder.path(), out), {"--epochs", "5", "--resume", "auto"});
  }
  std::string log(const std::string& out) const {
    return engine::read_file(out + "/log.jsonl") + engine::read_file(out + "/log.txt");
  }
  std::int64_t saved() const {
    const auto found = engine::newest_whole_checkpoint(run + "/checkpoints");
    return found && found->damaged.empty() ? found->checkpoint.step : -1;
  }
  void check_resume() const {
    CHECK(test::mae_command(on(run)) == apps::done);
    CHECK(log(run) == log(whole));
    for (const auto& entry : fs::recursive_directory_iterator(run)) CHECK(!entry.path().string().ends_with(".partial"));
  }
};

}  // namespace

TEST_CASE("a disk that is full for checkpoints keeps the last good one, and the run goes on to its end") {
  const Setting s;
  {
    const FaultyDisk disk([](engine::SystemCalls& system) {
      system.write = [](int file, const void* data, std::size_t bytes) -> ssize_t {
        if (is_checkpoint(file) && ++calls > 150) return errno = ENOSPC, -1;  // one checkpoint has 78 writes
        return ::write(file, data, bytes);
      };
    });
    CHECK(test::mae_command(s.on(s.run)) == apps::bad_input);  // the last save is the result: it may not fail silently
  }
  CHECK(s.saved() == 4);
  CHECK(s.log(s.run) == s.log(s.whole));
  CHECK_THAT(engine::read_file(s.run + "/events.jsonl"), ContainsSubstring("save failed"));
  s.check_resume();
}

TEST_CASE("a log that the disk does not take for a while loses no line") {
  const Setting s;
  const FaultyDisk disk([](engine::SystemCalls& system) {
    system.write = [](int file, const void* data, std::size_t bytes) -> ssize_t {
      if (path_of(file).ends_with("/log.txt") && calls <= 8) return errno = ENOSPC, -1;
      if (is_log(file) && ++calls >= 2 && calls <= 4) {
        if (calls == 3) return ::write(file, data, 5);  // part of a line, then nothing
        return errno = ENOSPC, -1;
      }
      return ::write(file, data, bytes);
    };
  });
  CHECK(test::mae_command(s.on(s.run)) == apps::done);
  CHECK(calls > 4);
  CHECK(s.log(s.run) == s.log(s.whole));
}

TEST_CASE("short writes change nothing") {
  const Setting s;
  const FaultyDisk disk([](engine::SystemCalls& system) {
    system.write = [](int file, const void* data, std::size_t bytes) {
      return ::write(file, data, std::min<std::size_t>(bytes, 1 + static_cast<std::size_t>(++calls % 97)));
    };
  });
  CHECK(test::mae_command(s.on(s.run)) == apps::done);
  CHECK(s.log(s.run) == s.log(s.whole));
  CHECK(s.saved() == 20);
}

TEST_CASE("whichever call of a save fails, the old or the new checkpoint loads") {
  const Setting s;
  REQUIRE(test::mae_command(joined(s.on(s.run), {"--epochs", "1"})) == apps::done);
  const std::string before = engine::read_file(engine::newest_whole_checkpoint(s.run + "/checkpoints")->path);
  const auto failing_at = [&](const char* what, int call, const std::function<void(engine::SystemCalls&)>& change) {
    INFO(what << " " << call);
    const std::string copy = s.folder.file("copy");
    fs::remove_all(copy);
    fs::copy(s.run, copy, fs::copy_options::recursive);
    {
      const FaultyDisk disk(change);
      CHECK(test::mae_command(joined(s.on(copy), {"--epochs", "2"})) == apps::bad_input);
    }
    const auto found = engine::newest_whole_checkpoint(copy + "/checkpoints");
    REQUIRE(found);
    CHECK(found->damaged.empty());
    CHECK((found->checkpoint.step == 4 || found->checkpoint.step == 8));
    if (found->checkpoint.step == 4) CHECK((engine::read_file(found->path) == before));
    CHECK(test::mae_command(joined(s.on(copy), {"--epochs", "2"})) == apps::done);
  };
  for (const int call : {1, 2, 3, 40, 77, 78}) {
    static int fatal;
    fatal = call;
    failing_at("write", call, [](engine::SystemCalls& system) {
      system.write = [](int file, const void* data, std::size_t bytes) -> ssize_t {
        if (is_checkpoint(file) && ++calls == fatal) return errno = EIO, -1;
        return ::write(file, data, bytes);
      };
    });
  }
  failing_at("fsync", 1, [](engine::SystemCalls& system) {
    system.fsync = [](int file) { return is_checkpoint(file) ? (errno = EIO, -1) : ::fsync(file); };
  });
  failing_at("rename", 1, [](engine::SystemCalls& system) {
    system.rename = [](const char* from, const char* to) {
      return std::string(to).find("/checkpoint-") != std::string::npos ? (errno = EIO, -1) : ::rename(from, to);
    };
  });
}

TEST_CASE("a checkpoint that cannot be read is set aside, and the one before it is taken") {
  const Setting s;
  REQUIRE(test::mae_command(s.on(s.run)) == apps::done);
  const auto newest = engine::newest_whole_checkpoint(s.run + "/checkpoints");
  REQUIRE(newest);
  {
    const FaultyDisk disk([](engine::SystemCalls& system) {
      system.pread = [](int file, void* data, std::size_t bytes, off_t offset) -> ssize_t {
        if (path_of(file).ends_with("checkpoint-0000000020.safetensors")) return errno = EIO, -1;
        return ::pread(file, data, bytes, offset);
      };
    });
    CHECK(test::mae_command(s.on(s.run)) == apps::done);
  }
  CHECK(fs::exists(newest->path + ".damaged"));
  CHECK(s.log(s.run) == s.log(s.whole));
}

TEST_CASE("no room for the checkpoints to come is said before the first step") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 32, 16);
  const std::string run = folder.file("run");
  CHECK(test::mae_command(joined(test::pretrain_words(folder.path(), run), {"--keep", "2000000000"})) ==
        apps::bad_input);
  CHECK(!fs::exists(run + "/log.jsonl"));
  CHECK(test::mae_command(test::pretrain_words(folder.path(), run)) == apps::done);  // mended, the same line goes
}
