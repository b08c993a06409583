// A loss or gradient that is not finite: what made it is named, and the run stops or leaves the batch out.
#include <algorithm>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

using test::joined;
using test::Words;

Words words(const TestFolder& folder, const std::string& run) {
  return joined(test::pretrain_words(folder.path(), run), {"--value-range", "1", "--epochs", "3", "--no-augment"});
}

/// The lines of a log that hold a text.
std::vector<engine::Json> lines_with(const std::string& path, const std::string& part) {
  std::vector<engine::Json> found;
  const std::string text = engine::read_file(path);
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (line.find(part) != std::string::npos) found.push_back(engine::parse_json(line, path));
  }
  return found;
}

}  // namespace

TEST_CASE("stop: ends with 3, names the op and the samples, and leaves the log at the last good step") {
  const TestFolder folder;
  test::write_float_idx(folder.path(), 64, 16, {5});
  const std::string run = folder.file("run");
  CHECK(test::mae_command(words(folder, run)) == apps::not_finite);
  CHECK(engine::read_file(run + "/log.jsonl").find("null") == std::string::npos);
  const auto events = lines_with(run + "/events.jsonl", "not finite");
  REQUIRE(events.size() == 1);
  INFO(events[0].at("first").as_string());
  CHECK_THAT(events[0].at("first").as_string(), ContainsSubstring("NaN") && ContainsSubstring("the output of"));
  const auto& samples = events[0].at("samples").as_array();
  CHECK(samples.size() == 8);
  CHECK(std::any_of(samples.begin(), samples.end(), [](const engine::Json& s) { return s.as_int() == 5; }));
}

TEST_CASE("rollback: leaves the batch out once an epoch, and a resumed run does the same") {
  const TestFolder folder;
  test::write_float_idx(folder.path(), 256, 16, {5});
  const std::string whole = folder.file("whole"), run = folder.file("run");
  const Words rollback{"--on-nonfinite", "rollback", "--resume", "auto", "--save-every", "0.1", "--pictures", "2"};
  CHECK(test::mae_command(joined(words(folder, whole), rollback)) == apps::done);
  CHECK(lines_with(whole + "/log.jsonl", "skipped").size() == 3);
  CHECK(lines_with(whole + "/events.jsonl", "skipped batch").size() == 3);
  CHECK_THAT(engine::read_file(whole + "/events.jsonl"), !ContainsSubstring("no picture"));
  int code = 0;
  for (int piece = 0;
       piece < 30 &&
       (code = test::mae_command(joined(joined(words(folder, run), rollback), {"--stop-after", "5"}))) == apps::done;
       ++piece) {
    if (engine::newest_whole_checkpoint(run + "/checkpoints")->checkpoint.step == 96) break;
  }
  CHECK(code == apps::done);
  CHECK(engine::read_file(run + "/log.jsonl") == engine::read_file(whole + "/log.jsonl"));
}

TEST_CASE("rollback gives up where the model itself has diverged") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 64, 16);
  const std::string run = folder.file("run");
  CHECK(test::mae_command(joined(test::pretrain_words(folder.path(), run),
                                 {"--blr", "1e30", "--on-nonfinite", "rollback", "--epochs", "4"})) ==
        apps::not_finite);
  CHECK(lines_with(run + "/log.jsonl", "skipped").size() == 2);
}
