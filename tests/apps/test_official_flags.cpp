// Command lines of He et al.'s code.
#include <sstream>

#include "apps/cli.h"
#include "apps/official_flags.h"
#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

using apps::from_official;
using Words = std::vector<std::string>;

Words split(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

TEST_CASE("the pretraining line of the official README keeps its recipe on one device") {
  const apps::Translation line = from_official(split(
      "pretrain --job_dir JOB --nodes 8 --use_volta32 --batch_size 64 --model mae_vit_large_patch16 --norm_pix_loss "
      "--mask_ratio 0.75 --epochs 800 --warmup_epochs 40 --blr 1.5e-4 --weight_decay 0.05 --data_path IMAGENET"));
  CHECK(line.words ==
        split("pretrain --out JOB --model mae_vit_large_patch16 --norm-pix --mask-ratio 0.75 --epochs 800 "
              "--warmup-epochs 40 --blr 1.5e-4 --weight-decay 0.05 --data IMAGENET --micro-batch 64 --batch "
              "4096"));
  CHECK(line.ignored == Words{"--use-volta32"});
}

TEST_CASE("accumulation and devices make the global batch") {
  CHECK(from_official(split("pretrain --accum_iter=4")).words == split("pretrain --micro-batch 64 --batch 256"));
  CHECK(from_official(split("pretrain --batch_size 32 --world_size 2")).words ==
        split("pretrain --micro-batch 32 --batch 64"));
  CHECK_THROWS_AS(from_official(split("pretrain --batch_size many")), apps::UsageError);
  CHECK_THROWS_AS(from_official(split("pretrain --batch_size -3")), apps::UsageError);
  CHECK_THROWS_AS(from_official(split("pretrain --batch_size 16777216 --accum_iter 16777216 --nodes 99999999999")),
                  apps::UsageError);
}

TEST_CASE("a line of ours stays as it is") {
  const Words ours = split("pretrain --data a_b/c --batch 8 --out run_1 --no-norm-pix --preset=x_y -- --batch_size");
  CHECK(from_official(ours).words == ours);
  CHECK(from_official(ours).ignored.empty());
}

TEST_CASE("a run with the official spellings is the run with ours") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 24, 16);
  const Words common = test::pretrain_words(folder.path(), folder.file("ours"));
  REQUIRE(test::mae_command(test::joined(common, split("--mask-ratio 0.5 --norm-pix --micro-batch 4 --batch 8"))) == 0);
  Words theirs = common;
  theirs[4] = folder.file("theirs");
  const test::Answer answer =
      test::mae_answer(test::joined(theirs, split("--mask_ratio 0.5 --norm_pix_loss --batch_size 4 --accum_iter 2 "
                                                  "--input_size 16 --warmup_epochs 0 --blr=0.01 --pin_mem")));
  REQUIRE(answer.code == apps::done);
  CHECK_THAT(answer.error, ContainsSubstring("--pin-mem"));
  CHECK(engine::read_file(folder.file("ours/log.jsonl")) == engine::read_file(folder.file("theirs/log.jsonl")));
}
