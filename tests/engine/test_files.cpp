#include "engine/files.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "kernels/core/check.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"

using namespace engine;

namespace {

constexpr const char* points[] = {"after write", "before fsync", "before rename", "after rename"};
std::string fault_point;  // where the fault below strikes
int fault_countdown = 0;  // and at which of its calls there

void save(const std::string& path, const std::string& text) {
  write_atomically(path, [&](FileWriter& writer) {  // in four pieces, so that a fault can strike between them
    const std::size_t piece = text.size() / 4;
    for (int i = 0; i < 4; ++i) writer.write(std::string_view(text).substr(i * piece, i < 3 ? piece : text.size()));
  });
}

bool strikes(std::string_view point) { return point == fault_point && --fault_countdown == 0; }

/// Sets the fault for one scope.
struct Fault {
  Fault(decltype(save_fault) fault, const std::string& point, int call) {
    save_fault = fault;
    fault_point = point;
    fault_countdown = call;
  }
  ~Fault() { save_fault = nullptr; }
};

}  // namespace

TEST_CASE("a save replaces the file whole") {
  const TestFolder folder;
  const std::string path = folder.file("state");
  save(path, "first content");
  CHECK(read_file(path) == "first content");
  save(path, "new");
  CHECK(read_file(path) == "new");
  write_atomically(path, [](FileWriter&) {});
  CHECK(read_file(path).empty());
  CHECK(folder.count() == 1);
}

TEST_CASE("a save that throws at any point leaves old or new content and no partial file") {
  const TestFolder folder;
  const std::string path = folder.file("state"), before(1000, 'o'), after(3001, 'n');
  for (const std::string point : points) {
    for (int call = 1; call <= (point == "after write" ? 4 : 1); ++call) {
      INFO(point << ", call " << call);
      save(path, before);
      const Fault fault(
          [](std::string_view p, const std::string&) {
            if (strikes(p)) throw std::runtime_error("struck");
          },
          point, call);
      CHECK_THROWS_WITH(save(path, after), "struck");
      CHECK(read_file(path) == (point == "after rename" ? after : before));
      CHECK(folder.count() == 1);
    }
  }
  CHECK_THROWS_WITH(write_atomically(path, [](FileWriter&) { throw std::runtime_error("filler"); }), "filler");
  CHECK(folder.count() == 1);
}

TEST_CASE("a save that is killed at any point leaves old or new content") {
  const TestFolder folder;
  const std::string path = folder.file("state"), before(1000, 'o'), after(3001, 'n');
  for (const std::string point : points) {
    for (int call = 1; call <= (point == "after write" ? 4 : 1); ++call) {
      INFO(point << ", call " << call);
      save(path, before);
      const Fault fault(
          [](std::string_view p, const std::string&) {
            if (strikes(p)) ::kill(::getpid(), SIGKILL);
          },
          point, call);
      const pid_t child = ::fork();
      if (child == 0) {
        save(path, after);
        ::_exit(0);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
      const bool renamed = point == "after rename";
      CHECK(read_file(path) == (renamed ? after : before));
      CHECK(remove_partial_files(folder.path()) == (renamed ? 0 : 1));
      CHECK(folder.count() == 1);
    }
  }
}

TEST_CASE("a write that the system refuses names path, bytes and reason, and leaves the old file") {
  const TestFolder folder;
  const std::string path = folder.file("state");
  save(path, "old");
  // The first write stops short at the limit, the next one fails: what a full disk does, without a disk of our own.
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{65536, limit.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message, advice;
  try {
    write_atomically(
        path, [](FileWriter& writer) { writer.write(std::string(1'000'000, 'x')); }, 1'500'000);
  } catch (const kernels::Error& error) {
    message = error.what();
    advice = error.advice();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ::signal(SIGXFSZ, handler);
  CHECK_THAT(message, ContainsSubstring(path) && ContainsSubstring("after byte 65536 of 1500000") &&
                          ContainsSubstring("File too large"));
  CHECK_THAT(advice, ContainsSubstring("bytes are free in " + folder.path()));
  CHECK(read_file(path) == "old");
  CHECK(folder.count() == 1);
}

TEST_CASE("a full device, a missing folder, a folder in the way: each is named") {
  const TestFolder folder;
  if (::access("/dev/full", W_OK) == 0) {
    LineLog log("/dev/full");
    CHECK_THROWS_WITH(log.append("line"), ContainsSubstring("/dev/full") && ContainsSubstring("5 bytes") &&
                                              ContainsSubstring("No space left"));
  }
  CHECK_THROWS_WITH(save(folder.file("none/state"), "x"),
                    ContainsSubstring("none/state") && ContainsSubstring("No such"));
  CHECK_THROWS_WITH(read_file(folder.file("none")), ContainsSubstring("none") && ContainsSubstring("No such"));
  CHECK_THROWS_WITH(read_file(folder.path()), ContainsSubstring(folder.path() + ": not a regular file"));
  std::filesystem::create_directory(folder.file("taken"));
  CHECK_THROWS_WITH(save(folder.file("taken"), "x"), ContainsSubstring("taken") && ContainsSubstring("directory"));
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(folder.file("pipe")), ContainsSubstring("not a regular file"));
  CHECK(folder.count() == 2);
  CHECK(free_bytes(folder.path()) > 0);
  CHECK_THROWS_WITH(free_bytes(folder.file("none")), ContainsSubstring("none"));
}

TEST_CASE("a link is followed, a pipe is left alone") {
  const TestFolder folder;
  const std::string real = folder.file("real"), link = folder.file("link"), pipe = folder.file("pipe");
  save(real, "what stood there");
  REQUIRE(::symlink("real", link.c_str()) == 0);
  save(link, "what is new");
  CHECK(read_file(real) == "what is new");
  struct stat info {};
  REQUIRE(::lstat(link.c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_AS(save(pipe, "text"), kernels::Error);
  REQUIRE(::lstat(pipe.c_str(), &info) == 0);
  CHECK(S_ISFIFO(info.st_mode));
}

TEST_CASE("reads stop at the end of the file") {
  const TestFolder folder;
  save(folder.file("data"), "0123456789");
  const InputFile file(folder.file("data"));
  char text[4] = {};
  file.read_at(6, text, 4);
  CHECK(std::string_view(text, 4) == "6789");
  CHECK_THROWS_WITH(file.read_at(7, text, 4), ContainsSubstring("ends at byte 10, wanted 4 bytes from 7"));
}

TEST_CASE("a log keeps its lines, and a resume cuts it") {
  const TestFolder folder;
  const std::string path = folder.file("log.jsonl");
  CHECK(keep_lines(path, [](std::string_view) { return true; }) == 0);
  {
    LineLog log(path);
    for (const char* line : {"step 1", "step 2", "", "step 3"}) log.append(line);
    CHECK_THROWS_WITH(log.append("two\nlines"), ContainsSubstring(path));
  }
  LineLog(path).append("step 4");
  CHECK(read_file(path) == "step 1\nstep 2\n\nstep 3\nstep 4\n");
  CHECK(keep_lines(path, [](std::string_view line) { return line != "step 4"; }) == 4);
  CHECK(read_file(path) == "step 1\nstep 2\n\nstep 3\n");

  save(path, "step 1\nstep 2\nste");  // torn by a crash
  CHECK(keep_lines(path, [](std::string_view) { return true; }) == 2);
  LineLog(path).append("step 3");
  CHECK(read_file(path) == "step 1\nstep 2\nstep 3\n");
  CHECK(keep_lines(path, [](std::string_view) { return false; }) == 0);
  CHECK(read_file(path).empty());
}
