// log.txt and the event file: what other programs read of a run says what log.jsonl and evaluations.jsonl say, however
// often the run was interrupted. TensorBoard's own reader: tensorboard_check.py, by hand.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "tests/support/catch.h"
#include "tests/support/event_reader.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using engine::Json;
using test::joined, test::Words;

std::vector<Json> json_lines(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream text(engine::read_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(engine::parse_json(line, path));
  return lines;
}

/// 4 steps an epoch, of the training images and of the test images.
struct Setting {
  TestFolder folder;
  Setting() {
    test::write_idx(folder.path(), "train", 32, 16);
    test::write_idx(folder.path(), "t10k", 20, 16);
  }
  Words pretraining(const std::string& out) const {
    return joined(test::pretrain_words(folder.path(), out),
                  {"--epochs", "3", "--pictures", "1", "--tensorboard", "--resume", "auto"});
  }
  Words finetuning(const std::string& out, const std::string& from) const {
    const std::string checkpoint = engine::newest_whole_checkpoint(from + "/checkpoints")->path;
    return {"finetune", "--checkpoint", checkpoint, "--data",      folder.path(), "--out",
            out,        "--batch",      "8",        "--mix-group", "2",           "--warmup-epochs",
            "0.5",      "--epochs",     "3",        "--resume",    "auto",        "--tensorboard"};
  }
};

/// The one event file of a folder that is not empty; one that is may be there.
std::vector<test::ReadEvent> events_in(const std::string& folder) {
  std::string path;
  int empty = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    empty += entry.file_size() == 0;
    if (entry.file_size() == 0) continue;
    CHECK(path.empty());
    path = entry.path().string();
    CHECK_THAT(path, ContainsSubstring("events.out.tfevents."));
  }
  CHECK(empty <= 1);
  return test::read_events(engine::read_file(path));
}

/// Tags by step, but for those that hold the clock.
test::Points expected_points(const std::string& run, bool pretraining) {
  test::Points points;
  const auto add = [&](const std::string& tag, double x, const Json& value) {
    points[tag].emplace_back(static_cast<std::int64_t>(x), static_cast<float>(value.as_double()));
  };
  for (const Json& line : json_lines(run + "/log.jsonl")) {
    const double x = line.at("epoch").as_double() * 1000, step = line.at("step").as_double();
    add(pretraining ? "train_loss" : "loss", x, line.at("loss"));
    add("lr", x, line.at("lr"));
    for (const char* key : {"loss", "lr", "gradient_norm"}) add(std::string("step/") + key, step, line.at(key));
  }
  for (const Json& line : json_lines(run + "/evaluations.jsonl")) {
    for (const Json& number : line.as_object())
      if (number.key != "step" && number.key != "epoch")
        add("evaluation/" + number.key, line.at("step").as_double(), number);
    if (pretraining) continue;
    const double epoch = line.at("epoch").as_double() - 1;
    add("perf/test_acc1", epoch, line.at("top1"));
    add("perf/test_acc5", epoch, line.at("top5"));
    add("perf/test_loss", epoch, line.at("validation_loss"));
  }
  return points;
}

void check_events(const std::vector<test::ReadEvent>& events, const std::string& run, bool pretraining) {
  REQUIRE(events.size() > 2);
  CHECK(events[0].version == "brain.Event:2");
  CHECK(events[1].session_start);
  test::Points points = test::points_of(events);
  CHECK(points["step/seconds"].size() == json_lines(run + "/log.jsonl").size());
  CHECK(points["step/data_wait_seconds"].size() == points["step/seconds"].size());
  points.erase("step/seconds");
  points.erase("step/data_wait_seconds");
  CHECK((points == expected_points(run, pretraining)));
  for (const test::ReadEvent& event : events) CHECK(event.wall_time > 1.5e9);
}

/// What a killed process leaves behind its last checkpoint.
void append(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }

}  // namespace

TEST_CASE("log.txt and the event file of a pretraining, whole and interrupted") {
  const Setting s;
  const std::string whole = s.folder.file("whole"), broken = s.folder.file("broken");
  REQUIRE(test::mae_command(s.pretraining(whole)) == apps::done);
  REQUIRE(test::mae_command(joined(s.pretraining(broken), {"--stop-after", "6"})) == apps::done);
  append(broken + "/log.jsonl", R"({"step":6,"epoch":1.5,"loss":9.0,"lr":0.1,"gradient_norm":1.0})"
                                "\n{\"st");
  append(broken + "/timing.jsonl", R"({"step":6,"seconds":9.0,"data_wait_seconds":1.0})"
                                   "\n");
  append(broken + "/log.txt", "{\"train_lr\":1.0}\n");
  append(fs::directory_iterator(broken + "/tensorboard")->path().string(), "half a rec");
  REQUIRE(test::mae_command(joined(s.pretraining(broken), {"--stop-after", "2"})) == apps::done);
  fs::remove(broken + "/log.txt");  // made again, whatever became of it
  REQUIRE(test::mae_command(s.pretraining(broken)) == apps::done);

  CHECK(engine::read_file(broken + "/log.txt") == engine::read_file(whole + "/log.txt"));
  for (const std::string& run : {whole, broken}) check_events(events_in(run + "/tensorboard"), run, true);
  CHECK(events_in(whole + "/tensorboard").back().width > 40);  // learning.png, behind the last step

  const auto log = json_lines(whole + "/log.jsonl"), found = json_lines(whole + "/evaluations.jsonl");
  const auto epochs = json_lines(whole + "/log.txt");
  REQUIRE(epochs.size() == 3);
  for (std::size_t e = 0; e < 3; ++e) {
    double loss = 0, lr = 0;
    for (std::size_t i = 4 * e; i < 4 * e + 4; ++i)
      loss += log[i].at("loss").as_double(), lr += log[i].at("lr").as_double();
    CHECK(epochs[e].at("train_loss").as_double() == loss / 4);
    CHECK(epochs[e].at("train_lr").as_double() == lr / 4);
    CHECK(epochs[e].at("epoch").as_int() == static_cast<std::int64_t>(e));
    CHECK(epochs[e].at("test_loss").as_double() == found[e].at("validation_loss").as_double());
    CHECK(epochs[e].as_object().size() == 4);
  }

  const std::string converted = s.folder.file("converted");
  REQUIRE(test::mae_command({"report", whole, broken, "--tensorboard", converted}) == apps::done);
  REQUIRE(test::mae_command({"report", whole, "--tensorboard", converted}) == apps::done);  // in the place of the first
  for (const char* name : {"whole", "broken"})
    check_events(events_in(converted + "/" + name), s.folder.file(name), true);
}

TEST_CASE("log.txt and the event file of a fine-tuning have the official keys") {
  const Setting s;
  const std::string pretrained = s.folder.file("pretrained"), run = s.folder.file("run");
  REQUIRE(test::mae_command(joined(s.pretraining(pretrained), {"--epochs", "1", "--no-tensorboard"})) == apps::done);
  CHECK_FALSE(fs::exists(pretrained + "/tensorboard"));
  REQUIRE(test::mae_command(joined(s.finetuning(run, pretrained), {"--stop-after", "8"})) == apps::done);
  REQUIRE(test::mae_command(s.finetuning(run, pretrained)) == apps::done);
  check_events(events_in(run + "/tensorboard"), run, false);
  const auto epochs = json_lines(run + "/log.txt"), found = json_lines(run + "/evaluations.jsonl");
  REQUIRE(epochs.size() == 3);
  for (std::size_t e = 0; e < 3; ++e) {
    CHECK(epochs[e].at("test_acc1").as_double() == found[e].at("top1").as_double());
    CHECK(epochs[e].at("test_acc5").as_double() == found[e].at("top5").as_double());
    CHECK(epochs[e].at("test_loss").as_double() == found[e].at("validation_loss").as_double());
    CHECK(epochs[e].at("n_parameters").as_int() > 1000);
    for (const char* key : {"train_loss", "train_lr"}) CHECK(std::isfinite(epochs[e].at(key).as_double()));
  }
}
