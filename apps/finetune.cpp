#include <fmt/format.h>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/finetune_options.h"
#include "apps/pixel_keys.h"
#include "apps/progress.h"
#include "engine/files.h"
#include "kernels/core/check.h"
#include "mae/metrics.h"
#include "mae/table_labels.h"

namespace apps {
namespace {

/// The classes of the training images, each of which must occur: nothing can be learnt of one without an image.
std::vector<std::string> classes_of(const mae::Dataset& data) {
  if (data.classes.empty())
    throw kernels::Error("these images have no labels", data.path,
                         "class folders, IDX, CIFAR, tar shards with .cls files, or a table");
  std::vector<std::int64_t> counts(data.classes.size());
  for (std::int64_t i = 0; i < data.size; ++i) {
    const int label = data.label(i);
    if (label < 0)
      throw kernels::Error("this image has no label", mae::name_of(data, i), "a label, or leave the image out");
    ++counts[static_cast<std::size_t>(label)];
  }
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0)
      throw kernels::Error(fmt::format("class {} has no image", data.classes[k]), data.path,
                           "images of it, or leave the class out");
  }
  return data.classes;
}

/// What would only show at the first evaluation.
void check_answers(const mae::MultiLabels& labels) {
  const std::vector<double> zeros(labels.targets.size());
  const auto K = static_cast<std::int64_t>(labels.classes.size());
  mae::multi_label_metrics(kernels::view_of(const_cast<double*>(zeros.data()), kernels::DType::f64,
                                            {static_cast<std::int64_t>(zeros.size()) / K, K}),
                           labels.targets);
}

struct LabelledData {
  mae::Dataset training, validation;
};

/// Opens the images, and sets the classes and targets that they bring.
LabelledData open_labelled(FinetuneCommand& o) {
  mae::ClassifierConfig& c = o.job.tuning.classifier;
  LabelledData data{open_training_data(o.data, c.encoder), open_validation_data(o.data, c.encoder)};
  const bool evaluated = data.validation.size > 0;
  if (c.task == mae::Task::multi) {
    if (o.targets.empty() || (evaluated && o.val_targets.empty()))
      throw UsageError("yes and no for each class are not given", "--targets, --val-targets", "a CSV for each");
    if (o.label_fraction != 1)
      throw UsageError("a share of the images is drawn class by class, which many labels have not", "--label-fraction",
                       "a shorter list of images");
    mae::MultiLabels labels = mae::load_multi_labels(o.targets, data.training);
    c.classes = labels.classes;
    o.job.tuning.targets = std::move(labels.targets);
    if (!evaluated) return data;
    mae::MultiLabels of_validation = mae::load_multi_labels(o.val_targets, data.validation, mae::EmptyClasses::allow);
    if (of_validation.classes != c.classes)
      throw kernels::Error("the columns are other ones than those of " + o.targets, o.val_targets, "the same classes");
    check_answers(of_validation);
    o.job.validation_targets = std::move(of_validation.targets);
    return data;
  }
  if (!(o.label_fraction > 0 && o.label_fraction <= 1))
    throw kernels::Error(fmt::format("{} is no part of the images", o.label_fraction), "--label-fraction",
                         "above 0, at most 1");
  if (o.label_fraction != 1) data.training = mae::label_fraction(data.training, o.label_fraction, o.job.recipe.seed);
  c.classes = classes_of(data.training);
  if (evaluated) require_classes(c.classes, data.validation);
  return data;
}

}  // namespace

int finetune_with(FinetuneCommand o, OptionTable& table, int argc, char** argv) {
  const double start = clock_seconds();
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  if (const auto own = in_place_of(o.checkpoint, o.command)) {
    o.of_run = mae::classifier_config_of(own->checkpoint, own->path).encoder;
    table.parse(argc, argv);
  }
  settle(o);
  if (o.task == "multi" && !table.given("smoothing")) o.job.tuning.smoothing = 0;
  if (o.task == "multi" && o.job.tuning.smoothing > 0)
    throw UsageError("answers of yes or no are not smoothed", "--smoothing", "--smoothing 0");
  if (o.checkpoint.empty() && !o.from_scratch)
    throw UsageError("there is no encoder to begin with", "--checkpoint", "--checkpoint FILE, or --from-scratch");
  const StopRequest stop(start + o.command.max_seconds);
  if (!o.checkpoint.empty()) mae::require_known(o.job.tuning.classifier.encoder, o.checkpoint);
  mae::validate(o.job.tuning.classifier.encoder);
  mae::validate(o.job.recipe);
  const kernels::Device device = open_device(o.command.device);
  o.job.run.look_ahead = look_ahead_on(device);
  kernels::Stream stream(device);
  force_rows(stream, o.command.device);
  const LabelledData data = open_labelled(o);
  mae::validate(o.job.tuning, o.job.recipe);
  check_options(o.job, data.training, data.validation);
  const engine::Descriptor held = engine::hold_folder(o.job.run.folder);
  const auto from = check_run_folder(o.job, data.training.fingerprint);
  if (!from) {
    const auto far = far_from_config(survey_of_first(data.training, o.job.recipe.seed), data.training,
                                     o.job.tuning.classifier.encoder);
    if (far) warn(*far);
    if (data.validation.size == 0)
      warn(kernels::Error("there are no validation images: nothing is evaluated", o.data.data, "--val-data PATH"));
  }
  if (!o.from_scratch) o.job.start = "from " + o.checkpoint;
  if (from) {
    o.job.tuning.from.clear();             // its weights are the run's own
    mae::adopt_choices(from->checkpoint);  // before anything is timed
  }
  const RunEnd end = run_finetuning(stream, o.job, data.training, data.validation, from, stop, [&] {
    write_run_config(table, o.job.run, device, data.training, "", typed(argc, argv));
  });
  if (const int code = exit_code(end, o.job.run.folder); code != done) return code;
  fmt::print("best: {0}/best.safetensors   pictures: {0}/pictures/accuracy.png {0}/pictures/loss.png\n",
             o.job.run.folder);
  return done;
}

int finetune(int argc, char** argv) {
  OptionTable table("finetune", "train a classifier on a pretrained encoder. Defaults are the recipe for ViT-B",
                    "mae finetune --checkpoint FILE --data DIR --out runs/finetuned");
  return finetune_with(finetune_defaults(), table, argc, argv);
}

int probe_official(int argc, char** argv) {
  FinetuneCommand defaults = probe_defaults();
  OptionTable table("probe", "linear probe as the paper does it: LARS, batch norm, class token, frozen encoder",
                    "mae probe --protocol official --checkpoint FILE --data DIR --out runs/probe");
  std::string protocol = "official";
  table.add("protocol", protocol, "official: this one; quick: `mae probe --help` without it").one_of({"official"});
  return finetune_with(defaults, table, argc, argv);
}

}  // namespace apps
