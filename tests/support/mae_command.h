// `mae` as a user types it, inside the test's own process or in one that can be killed; and the options of a run that
// takes a second.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "apps/cli.h"

namespace test {

using Words = std::vector<std::string>;

inline Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

inline std::vector<char*> arguments(Words& words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return argv;
}

/// {"plan", "--batch", "8"}: runs it here, returns its exit code.
inline int mae_command(Words words) {
  words.insert(words.begin(), "mae");
  std::vector<char*> argv = arguments(words);
  return apps::run(static_cast<int>(words.size()), argv.data());
}

struct Answer {
  int code = 0;
  std::string output, error;  // what it wrote to standard output and standard error
};

/// Takes what is written to a stream of this process, until text() gives it back.
class Captured {
 public:
  explicit Captured(std::FILE* stream) : stream_(stream), file_(std::tmpfile()), before_(dup(fileno(stream))) {
    std::fflush(stream_);
    dup2(fileno(file_), fileno(stream_));
  }
  Captured(const Captured&) = delete;
  std::string text() {
    std::fflush(stream_);
    dup2(before_, fileno(stream_));
    close(before_);
    std::rewind(file_);
    std::string text;
    for (int c; (c = std::fgetc(file_)) != EOF;) text += static_cast<char>(c);
    std::fclose(file_);
    return text;
  }

 private:
  std::FILE *stream_, *file_;
  int before_;
};

/// The same, with what it said.
inline Answer mae_answer(const Words& words) {
  Captured output(stdout), error(stderr);
  Answer answer{.code = mae_command(words), .output = {}, .error = {}};
  answer.error = error.text();
  answer.output = output.text();
  return answer;
}

/// A small model on images of 16 x 16 in one channel. What follows overrides it: the last of a flag counts.
inline Words pretrain_words(const std::string& data, const std::string& out) {
  return {"pretrain", "--data",          data,  "--out",      out,    "--image-size",  "16", "--channels",
          "1",        "--mean",          "0.5", "--std",      "0.25", "--patch",       "4",  "--dim",
          "16",       "--depth",         "1",   "--heads",    "2",    "--decoder-dim", "8",  "--decoder-depth",
          "1",        "--decoder-heads", "2",   "--batch",    "8",    "--epochs",      "1",  "--blr",
          "0.01",     "--warmup-epochs", "0",   "--pictures", "0"};
}

/// Starts a program of the build folder with its output appended to a file; the child's process id.
inline pid_t start(const std::string& program, Words words, const std::string& output) {
  std::fflush(nullptr);  // or the child would write what waits here a second time
  const pid_t child = fork();
  if (child != 0) return child;
  if (!freopen(output.c_str(), "a", stdout) || !freopen(output.c_str(), "a", stderr)) _exit(99);
  const std::string path = std::string(MAE_BINARY_DIR) + "/" + program;
  words.insert(words.begin(), program);
  execv(path.c_str(), arguments(words).data());
  _exit(98);
}

/// The status that waitpid gives.
inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace test
