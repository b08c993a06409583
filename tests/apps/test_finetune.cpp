// `mae finetune`, `mae probe --protocol official` and `mae eval`, as a user types them.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "apps/finetune_options.h"
#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"
#include "tests/support/noise.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::Words;

/// A pretrained model, and its images of ten classes: 120 and 50.
struct Pretrained {
  TestFolder folder;
  std::string data = folder.path(), checkpoint;
  Pretrained() {
    test::write_idx(data, "train", 120, 16);
    test::write_idx(data, "t10k", 50, 16);
    REQUIRE(test::mae_command(joined(test::pretrain_words(data, folder.file("run")), {"--depth", "2"})) == apps::done);
    checkpoint = engine::newest_whole_checkpoint(folder.file("run/checkpoints"))->path;
  }
  /// Everything on that may be; four steps an epoch, three epochs.
  Words words(const std::string& out) const {
    return {"finetune", "--checkpoint", checkpoint, "--data",    data, "--out",       out,   "--batch",
            "30",       "--mix-group",  "2",        "--epochs",  "3",  "--drop-path", "0.2", "--warmup-epochs",
            "0.5",      "--ema",        "0.9",      "--workers", "2",  "--blr",       "0.02"};
  }
  Words probe_words(const std::string& out) const {
    return {"probe", "--protocol", "official", "--checkpoint",    checkpoint, "--data",   data, "--out",
            out,     "--batch",    "30",       "--warmup-epochs", "0.5",      "--epochs", "3"};
  }
  void check_refused(const Words& words, const std::string& named, int code = apps::bad_input) const {
    const test::Answer refused = test::mae_answer(words);
    INFO(refused.error);
    CHECK(refused.code == code);
    CHECK_THAT(refused.error, ContainsSubstring(named));
  }
};

std::string newest(const std::string& run) { return engine::newest_whole_checkpoint(run + "/checkpoints")->path; }

std::vector<engine::Json> lines_of(const std::string& path) {
  std::vector<engine::Json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(engine::parse_json(line, path));
  return lines;
}

std::size_t count_lines(const std::string& path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

}  // namespace

TEST_CASE("a fine-tuning that is stopped and killed ends with the logs and the bits of one that was left alone") {
  const Pretrained t;
  for (const bool probe : {false, true}) {
    const auto words = [&](const std::string& out) {  // a batch of the probe is 3 of 8 micro-batches, across epochs
      return probe ? joined(t.probe_words(out), {"--batch", "48", "--micro-batch", "16", "--no-drop-last", "--epochs",
                                                 "8", "--schedule", "epoch"})
                   : joined(t.words(out), {"--batch", "20"});
    };
    const std::string whole = t.folder.file(probe ? "whole_probe" : "whole"),
                      broken = t.folder.file(probe ? "broken_probe" : "broken");
    REQUIRE(test::mae_command(words(whole)) == apps::done);
    REQUIRE(test::mae_command(joined(words(broken), {"--stop-after", "6", "--save-every", "0.25"})) == apps::done);
    const pid_t child = test::start("mae", joined(words(broken), {"--resume", "auto"}), broken + ".output");
    while (count_lines(broken + "/log.jsonl") < 8 && waitpid(child, nullptr, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(child, SIGKILL);
    const int status = test::wait_for(child);
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));  // else it had ended before
    REQUIRE(test::mae_command(joined(words(broken), {"--resume", "auto"})) == apps::done);
    CHECK(lines_of(whole + "/log.jsonl").size() == (probe ? 21 : 18));
    CHECK(lines_of(whole + "/evaluations.jsonl").size() == (probe ? 8 : 3));
    for (const char* file : {"/log.jsonl", "/log.txt", "/evaluations.jsonl", "/best.safetensors"})
      CHECK((engine::read_file(whole + file) == engine::read_file(broken + file)));
    CHECK((engine::read_file(newest(whole)) == engine::read_file(newest(broken))));
    CHECK(fs::file_size(whole + "/pictures/accuracy.png") > 1000);
    if (probe) t.check_refused(joined(words(broken), {"--resume", "auto", "--drop-last"}), "another --drop-last");
  }
}

TEST_CASE("an evaluation that failed is made up for when the run goes on") {
  const Pretrained t;
  const std::string images = t.folder.file("validation");
  for (int i = 0; i < 20; ++i) {
    const std::string folder = images + "/" + std::to_string(i % 10);
    fs::create_directories(folder);
    mae::Image image = mae::make_image(16, 16, 1, kernels::DType::u8);
    image.pixels = support::noise_bytes(image.pixels.size(), static_cast<std::uint32_t>(i));
    mae::write_png(folder + "/" + std::to_string(i) + ".png", image);
  }
  const auto words = [&](const std::string& out) { return joined(t.words(out), {"--val-data", images}); };
  const std::string whole = t.folder.file("whole"), broken = t.folder.file("broken"), file = images + "/3/3.png";
  REQUIRE(test::mae_command(words(whole)) == apps::done);
  REQUIRE(test::mae_command(joined(words(broken), {"--stop-after", "8"})) == apps::done);  // two epochs of three
  const std::string saved = engine::read_file(file);
  fs::resize_file(file, saved.size() / 2);
  t.check_refused(joined(words(broken), {"--resume", "auto"}), file);
  CHECK(lines_of(broken + "/evaluations.jsonl").size() == 2);
  std::ofstream(file, std::ios::binary) << saved;
  const test::Answer again = test::mae_answer(joined(words(broken), {"--resume", "auto"}));
  REQUIRE(again.code == apps::done);
  CHECK_THAT(again.output + again.error, ContainsSubstring("after step 12, top1"));
  for (const char* name :
       {"/log.jsonl", "/log.txt", "/evaluations.jsonl", "/best.safetensors", "/pictures/accuracy.png"})
    CHECK((engine::read_file(whole + name) == engine::read_file(broken + name)));
}

TEST_CASE("eval repeats the logged numbers exactly, of the last checkpoint and of the best") {
  const Pretrained t;
  const std::string run = t.folder.file("tuned"), json = t.folder.file("eval.json"), csv = t.folder.file("eval.csv");
  REQUIRE(test::mae_command(t.words(run)) == apps::done);
  const std::vector<engine::Json> logged = lines_of(run + "/evaluations.jsonl");
  REQUIRE(logged.size() == 3);
  const auto best = std::max_element(logged.begin(), logged.end(), [](const engine::Json& a, const engine::Json& b) {
    return a.at("top1").as_double() < b.at("top1").as_double();
  });
  const auto repeats = [&](const std::string& checkpoint, const engine::Json& line) {
    const Words words{"eval", "--checkpoint", checkpoint, "--data", t.data, "--json", json, "--predictions", csv};
    const test::Answer answer = test::mae_answer(words);
    INFO(answer.error);
    REQUIRE(answer.code == apps::done);
    CHECK_THAT(answer.output, ContainsSubstring("is \\ taken for"));
    const engine::Json numbers = engine::parse_json(engine::read_file(json), json);
    for (const char* key : {"top1", "top5", "balanced_accuracy", "validation_loss"})
      CHECK(numbers.at(key).as_double() == line.at(key).as_double());
    std::int64_t right = 0;
    for (std::size_t k = 0; k < 10; ++k) {
      const std::int64_t own = numbers.at("confusion").as_array()[k].as_array()[k].as_int();
      right += own;
      CHECK(numbers.at("classes").as_array()[k].at("recall").as_double() == 20.0 * static_cast<double>(own));  // of 5
    }
    CHECK(numbers.at("top1").as_double() == 2.0 * static_cast<double>(right));  // of 50
    CHECK(count_lines(csv) == 51);
  };
  repeats(newest(run), logged.back());
  repeats(run + "/best.safetensors", *best);
}

TEST_CASE("blocks, poolings, optimizers, parts of the labels, and from scratch") {
  const Pretrained t;
  int n = 0;
  const auto trains = [&](const Words& more, const std::string& said) {
    const test::Answer answer =
        test::mae_answer(joined(joined(t.words(t.folder.file("v" + std::to_string(n++))), {"--epochs", "1"}), more));
    INFO(answer.error);
    CHECK(answer.code == apps::done);
    CHECK_THAT(answer.output, ContainsSubstring(said));
  };
  trains({"--blocks", "1"}, "last 1 of 2 blocks tuned");
  trains({"--blocks", "half"}, "MLP of the last block tuned");
  trains({"--blocks", "0", "--pooling", "cls"}, "class token, 10 classes");
  trains({"--from-scratch", "--optimizer", "sgd"}, "from scratch, all tuned");
  trains({"--label-fraction", "0.5", "--class-weights", "1,1,1,1,1,2,2,2,2,2"}, "2 steps = 1 epochs x 2");
  trains({"--mixup", "0", "--cutmix", "0", "--erase", "0", "--drop-path", "0", "--dtype", "bf16"}, "cpu bf16");
  trains({"--rand-augment", "none", "--color-jitter", "0.4", "--vertical-flip", "--turns"}, "4 steps");
}

TEST_CASE("what a fine-tuning refuses, before it writes anything") {
  const Pretrained t;
  const std::string run = t.folder.file("refused");
  const auto refused = [&](const Words& more, const std::string& named, int code = apps::bad_input) {
    t.check_refused(joined(t.words(run), more), named, code);
    CHECK_FALSE(fs::exists(run + "/log.jsonl"));
  };
  refused({"--checkpoint", t.folder.file("none.safetensors")}, "none.safetensors");
  refused({"--checkpoint", t.data + "/train-images-idx3-ubyte"}, "train-images-idx3-ubyte");
  refused({"--checkpoint", ""}, "--from-scratch", apps::bad_usage);
  refused({"--dim", "32"}, t.checkpoint);
  refused({"--blocks", "3"}, "--blocks");
  refused({"--blocks", "some"}, "--blocks");
  refused({"--mix-group", "7"}, "--mix-group");
  refused({"--no-drop-last"}, "--no-drop-last");  // with groups that are mixed
  refused({"--schedule", "day"}, "--schedule", apps::bad_usage);
  refused({"--label-fraction", "0.01"}, "classes");
  refused({"--label-fraction", "2"}, "--label-fraction");
  refused({"--class-weights", "1,2"}, "--class-weights");
  refused({"--task", "multi"}, "--targets", apps::bad_usage);
  refused({"--rand-augment", "rand-x9"}, "rand");
  refused({"--batch", "240", "--mix-group", "2"}, "--batch");
  refused({"--eval-crop", "0"}, "--eval-crop");
  refused({"--layer-decay", "1.5"}, "--layer-decay");
  refused({"--smothing", "0"}, "--smoothing", apps::bad_usage);
  t.check_refused(joined(t.probe_words(run), {"--micro-batch", "1"}), "--micro-batch");
  t.check_refused(joined(t.probe_words(run), {"--batch", "119", "--no-drop-last"}), "--no-drop-last");  // 119 and 1
  t.check_refused({"eval", "--checkpoint", t.checkpoint, "--data", t.data}, "no classifier");

  const std::string nine = t.folder.file("nine");  // the test images of another number of classes
  fs::create_directory(nine);
  test::write_idx(nine, "train", 9, 16);
  const std::string tuned = t.folder.file("tuned");
  REQUIRE(test::mae_command(joined(t.words(tuned), {"--epochs", "1"})) == apps::done);
  t.check_refused(joined(t.words(tuned), {"--resume", "auto", "--epochs", "1", "--pooling", "cls"}), "not the one");
  t.check_refused(joined(t.words(tuned), {"--epochs", "1"}), "there is a run");
}

TEST_CASE("answers of yes and no: AUROC, mAP and F1, from tables") {
  const Pretrained t;
  const auto table = [&](const std::string& name, int rows) {
    std::ofstream out(t.folder.file(name));
    out << "odd,large,third\n";
    for (int i = 0; i < rows; ++i) out << i % 2 << "," << (i % 10 > 4) << "," << (i % 7 == 0 ? -1 : i % 3 == 0) << "\n";
    return t.folder.file(name);
  };
  const std::string targets = table("targets.csv", 120), of_test = table("test.csv", 50), run = t.folder.file("multi"),
                    json = t.folder.file("multi.json");
  const Words words = joined(t.words(run), {"--task", "multi", "--targets", targets, "--val-targets", of_test,
                                            "--mixup", "0", "--cutmix", "0"});
  const test::Answer answer = test::mae_answer(words);
  INFO(answer.error);
  REQUIRE(answer.code == apps::done);
  const engine::Json last = lines_of(run + "/evaluations.jsonl").back();
  CHECK(last.at("auroc").as_double() > 0);
  const Words eval{"eval", "--checkpoint", newest(run), "--data", t.data, "--targets", of_test, "--json", json};
  const test::Answer evaluated = test::mae_answer(eval);
  INFO(evaluated.error);
  REQUIRE(evaluated.code == apps::done);
  CHECK_THAT(evaluated.output, ContainsSubstring("third"));
  const engine::Json numbers = engine::parse_json(engine::read_file(json), json);
  for (const char* key : {"auroc", "map", "macro_f1"}) CHECK(numbers.at(key).as_double() == last.at(key).as_double());
  REQUIRE(numbers.at("classes").as_array().size() == 3);
  CHECK(numbers.at("classes").as_array()[0].at("positives").as_int() == 25);  // odd
  t.check_refused(joined(words, {"--mixup", "0.8", "--out", t.folder.file("other")}), "mixed");
  t.check_refused({"eval", "--checkpoint", newest(run), "--data", t.data, "--targets", targets}, "targets.csv");
}

TEST_CASE("the recipes of fine-tuning as files have their numbers, and the linear probe's are the command's defaults") {
  const std::string folder = std::string(MAE_SOURCE_DIR) + "/apps/configs/";
  const auto read = [&](apps::FinetuneCommand& o, const std::string& file) {
    apps::OptionTable table("finetune", "", "");
    add_options(table, o);
    const Words words{"finetune", "--config", folder + file, "--data", "d", "--out", "o"};
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    REQUIRE(table.parse(static_cast<int>(argv.size()), argv.data()));
    settle(o);
  };
  struct Expected {
    const char* file;
    double lr, layer_decay, drop_path, epochs;
    std::int64_t group;
  };
  for (const Expected& e : {Expected{"finetuning/vit_base.toml", 2e-3, 0.65, 0.1, 100, 32},
                            Expected{"finetuning/vit_large.toml", 4e-3, 0.75, 0.2, 50, 32},
                            Expected{"finetuning/vit_huge.toml", 4e-3, 0.75, 0.3, 50, 16}}) {
    INFO(e.file);
    apps::FinetuneCommand o = apps::finetune_defaults();
    read(o, e.file);
    CHECK(o.job.recipe.lr() == Approx(e.lr));
    CHECK(o.job.recipe.epochs == e.epochs);
    CHECK(o.job.recipe.warmup_epochs == 5);
    CHECK(o.job.recipe.min_lr == 1e-6);
    CHECK(o.job.recipe.optimizer.beta2 == 0.999);
    CHECK(o.job.tuning.layer_decay == e.layer_decay);
    CHECK(o.job.tuning.drop_path == e.drop_path);
    CHECK(o.job.tuning.mix_group == e.group);
    CHECK(o.job.augmentation.range.scale_low == 0.08);
    CHECK(to_text(o.job.augmentation.rand) == "rand-m9-mstd0.5-inc1");
    CHECK(o.job.augmentation.rand.fill == mae::Fill{124, 116, 104});
    mae::validate(o.job.recipe);
  }
  apps::FinetuneCommand defaults = apps::probe_defaults(), probe = apps::probe_defaults();
  apps::settle(defaults);
  read(probe, "probing/imagenet.toml");
  apps::OptionTable of_defaults("probe", "", ""), of_file("probe", "", "");
  defaults.data.data = "d", defaults.command.run.folder = "o";
  add_options(of_defaults, defaults);
  add_options(of_file, probe);
  CHECK(of_defaults.to_toml() == of_file.to_toml());
  CHECK(probe.job.recipe.lr() == Approx(6.4));
  CHECK(probe.job.recipe.optimizer.trust == 0.001);
  CHECK(probe.job.tuning.init == mae::HeadInit::probe);
  apps::FinetuneCommand cifar = apps::finetune_defaults();
  read(cifar, "finetuning/cifar10.toml");
  const mae::Recipe& r = cifar.job.recipe;
  CHECK(r.lr() == Approx(5e-4));
  CHECK(mae::steps_per_epoch(50'000, r.batch, r.part()).value() == 391);  // the last of 80 images
  CHECK(r.schedule == engine::Pace::epoch);
  for (const char* kind : {"finetuning", "probing"}) {
    for (const auto& file : fs::directory_iterator(folder + kind)) {
      const std::string name = std::string(kind) + "/" + file.path().filename().string();
      INFO(name);
      apps::FinetuneCommand o = kind == std::string("probing") ? apps::probe_defaults() : apps::finetune_defaults();
      read(o, name);
    }
  }
}
