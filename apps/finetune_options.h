// The options of `mae finetune` and of `mae probe --protocol official`, which differ in their defaults alone.
#pragma once

#include <string>
#include <vector>

#include "apps/data_options.h"
#include "apps/finetuning_run.h"
#include "apps/run_options.h"

namespace apps {

struct FinetuneCommand {
  FinetuningRun job;
  RunCommand command;
  DataOptions data;
  std::string checkpoint;
  bool from_scratch = false;
  std::string blocks = "all", pooling = "mean", head = "linear", task = "single", optimizer = "adamw";
  std::string targets, val_targets;  // tables of Task::multi
  std::string rand_augment = "rand-m9-mstd0.5-inc1";
  double color_jitter = 0;
  bool augment = true, crop_retry = true;
  double label_fraction = 1;
  std::optional<mae::Config> of_run{};  // says what a pretrained file that is gone said
};

/// The official fine-tuning of ViT-B, and the official linear probe (notes 1.3 to 1.5).
FinetuneCommand finetune_defaults();
FinetuneCommand probe_defaults();

void add_options(OptionTable& table, FinetuneCommand& command);

/// What the typed options mean; the classes are not known yet. Throws kernels::Error naming the flag.
void settle(FinetuneCommand& command);

/// Parses, opens, checks and runs.
int finetune_with(FinetuneCommand command, OptionTable& table, int argc, char** argv);

}  // namespace apps
