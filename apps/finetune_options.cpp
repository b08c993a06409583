#include "apps/finetune_options.h"

#include <filesystem>

#include "apps/model_options.h"
#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace apps {
namespace {

mae::Tuned tuned_named(const std::string& name) {
  if (name == "all") return {};
  if (name == "half") return {.everything = false, .blocks = 0, .half = true};
  const auto blocks = engine::parse_number<int>(name);
  if (!blocks || *blocks < 0)
    throw kernels::Error("\"" + name + "\" says no blocks", "--blocks", "all, half, or a number such as 1");
  return {.everything = false, .blocks = *blocks, .half = false};
}

void add_start_options(OptionTable& t, FinetuneCommand& o) {
  t.group("Start");
  t.add("checkpoint", o.checkpoint, "a pretrained model: its sizes, and its encoder to begin with").shown_as("FILE");
  t.on_key("checkpoint", [&o] {
    mae::Config& encoder = o.job.tuning.classifier.encoder;
    if (std::filesystem::exists(o.checkpoint))
      encoder = mae::config_of(mae::Weights(o.checkpoint).checkpoint(), o.checkpoint);
    else if (o.of_run) encoder = *o.of_run;
  });
  t.add("from_scratch", o.from_scratch, "begin with initial values; of --checkpoint, the sizes alone are taken");
  t.add("blocks", o.blocks,
        "what is trained: all; the last K blocks; half: the MLP of the last one; 0: the head alone. With all but "
        "0, the norm behind the blocks is trained too")
      .shown_as("all|K|half")
      .or_number();
  t.add("pooling", o.pooling, "mean of the patch tokens, with a norm of its own, or class token after the final norm")
      .one_of({"mean", "cls"});
  t.add("head", o.head, "probe: a batch norm without affine before the linear layer").one_of({"linear", "probe"});
}

void add_label_options(OptionTable& t, FinetuneCommand& o) {
  t.group("Labels");
  t.add("task", o.task, "single: one class of many; multi: each class yes or no, from --targets")
      .one_of({"single", "multi"});
  t.add("targets", o.targets, "for multi: a CSV with a column for each class: 1, 0, or -1 for not known")
      .shown_as("CSV");
  t.add("val_targets", o.val_targets, "the same for the validation images").shown_as("CSV");
  t.add("label_fraction", o.label_fraction, "share of the training images used, class-balanced, drawn by the seed");
  t.add("class_weights", o.job.tuning.class_weight, "weights of the classes in the loss, in their order");
  t.add("smoothing", o.job.tuning.smoothing, "label smoothing");
}

void add_augmentation_options(OptionTable& t, FinetuneCommand& o) {
  mae::Augmentation& a = o.job.augmentation;
  mae::FinetuningOptions& f = o.job.tuning;
  t.group("Augmentation");
  add_augment_options(t, o.augment, a.range);
  t.add("crop_retry", o.crop_retry, "ten tries for a crop, as in fine-tuning; without, one, as in the linear probe");
  t.add("flip", a.flip, "left and right exchanged in half of the images");
  t.add("vertical_flip", a.vertical_flip, "up and down, too");
  t.add("turns", a.turns, "by 0 to 3 quarters");
  t.add("rand_augment", o.rand_augment, "timm's words, such as rand-m9-mstd0.5-inc1; none: off").shown_as("TEXT");
  t.add("color_jitter", o.color_jitter, "of brightness, contrast and saturation, instead of RandAugment; 0: off");
  t.add("erase", f.erase.probability, "probability of a random box of noise");
  t.add("mixup", f.mix.mixup, "alpha of Beta; 0: no mixup");
  t.add("cutmix", f.mix.cutmix, "alpha of Beta; 0: no CutMix");
  t.add("mix_probability", f.mix.probability, "that images are mixed at all");
  t.add("mix_switch", f.mix.switch_probability, "of CutMix, where there are both");
  t.add("mix_group", f.mix_group, "neighbours that share a draw and are mixed with each other, an even number");
  t.add("eval_crop", f.classifier.eval_share,
        "evaluation resizes to 1 / this of the model's size, then takes the centre: 0.875 is 224 of 256");
}

void add_optimizer_options(OptionTable& t, FinetuneCommand& o) {
  mae::Recipe& r = o.job.recipe;
  t.add("optimizer", o.optimizer, "lars: momentum with a trust ratio for each weight").one_of({"adamw", "sgd", "lars"});
  t.add("weight_decay", r.optimizer.weight_decay, "not on 1-D tensors, positions and class token unless --decay all");
  t.add("beta1", r.optimizer.beta1, "AdamW");
  t.add("beta2", r.optimizer.beta2, "AdamW");
  t.add("momentum", r.optimizer.momentum, "SGD and LARS");
  t.add("clip_grad", r.optimizer.max_norm, "largest global gradient norm; 0: never clipped");
  t.add("layer_decay", o.job.tuning.layer_decay, "factor of the learning rate from a block to the one before; 1: none");
  t.add("drop_path", o.job.tuning.drop_path, "stochastic depth of the last block; linear from 0 at the first");
  t.add("ema", o.job.tuning.ema, "decay of an average of the weights, which is then evaluated; 0: none");
  t.add("seed", r.seed, "of initial values, order, augmentation and mixing");
  t.add("dtype", o.command.dtype, "of the computation").one_of({"f32", "bf16", "f64"});
}

}  // namespace

FinetuneCommand finetune_defaults() {
  FinetuneCommand o;
  o.job.recipe = {.batch = 1024, .blr = 5e-4, .min_lr = 1e-6, .epochs = 100, .warmup_epochs = 5};
  o.job.recipe.optimizer.beta2 = 0.999;
  o.job.augmentation.range.scale_low = 0.08;
  return o;
}

FinetuneCommand probe_defaults() {
  FinetuneCommand o = finetune_defaults();
  o.blocks = "0";
  o.pooling = "cls";
  o.head = "probe";
  o.optimizer = "lars";
  o.rand_augment = "none";
  o.crop_retry = false;
  o.job.recipe = {.batch = 16384, .blr = 0.1, .min_lr = 0, .epochs = 90, .warmup_epochs = 10};
  o.job.recipe.optimizer.weight_decay = 0;
  mae::FinetuningOptions& f = o.job.tuning;
  f.layer_decay = 1;
  f.drop_path = f.smoothing = f.erase.probability = f.mix.mixup = f.mix.cutmix = 0;
  return o;
}

void add_options(OptionTable& t, FinetuneCommand& o) {
  add_start_options(t, o);
  add_data_options(t, o.data);
  add_label_options(t, o);
  add_augmentation_options(t, o);
  add_loading_options(t, o.command.loading);
  add_schedule_options(t, o.job.recipe);
  add_optimizer_options(t, o);
  add_run_options(t, o.command);
  t.add("evaluate_every", o.job.evaluate_every, "epochs between evaluations; the last step is always evaluated");
  add_model_options(t, o.job.tuning.classifier.encoder);
  add_execution_options(t, o.job.execution);
  add_execution_device_options(t, o.command);
}

void settle(FinetuneCommand& o) {
  settle(o.command, o.job);
  FinetuningRun& job = o.job;
  mae::FinetuningOptions& f = job.tuning;
  mae::ClassifierConfig& c = f.classifier;
  c.pooling = o.pooling == "mean" ? mae::Pooling::mean : mae::Pooling::cls;
  c.head = o.head == "linear" ? mae::Head::linear : mae::Head::probe;
  c.task = o.task == "single" ? mae::Task::single : mae::Task::multi;
  f.tuned = tuned_named(o.blocks);
  f.from = o.from_scratch ? "" : o.checkpoint;
  f.init = o.head == "probe" ? mae::HeadInit::probe : o.from_scratch ? mae::HeadInit::scratch : mae::HeadInit::tuned;
  job.recipe.optimizer.kind = o.optimizer == "adamw" ? engine::Optimizer::adamw : engine::Optimizer::momentum;
  job.recipe.optimizer.trust = o.optimizer == "lars" ? 0.001 : 0;
  mae::Augmentation& a = job.augmentation;
  a.crop = o.augment;
  if (!o.augment) a.flip = false, o.rand_augment = "none";
  // the official run's batch norm saw the 512 images of a GPU
  if (c.head == mae::Head::probe && job.recipe.micro_batch == 0 && job.recipe.batch % 512 == 0)
    job.recipe.micro_batch = 512;
  a.tries = o.crop_retry ? mae::CropTries::ten : mae::CropTries::one;
  a.rand = mae::parse_rand_augment(o.rand_augment);
  a.rand.fill = mae::fill_of(c.encoder.mean);
  a.jitter = {.brightness = o.color_jitter, .contrast = o.color_jitter, .saturation = o.color_jitter};
}

}  // namespace apps
