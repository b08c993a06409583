#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/evaluation.h"
#include "apps/initial_weights.h"
#include "apps/model_options.h"
#include "apps/output_file.h"
#include "apps/progress.h"
#include "engine/files.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"
#include "mae/table_labels.h"
#include "mae/training.h"

namespace apps {
namespace {

using engine::Json;

struct EvalCommand {
  std::string checkpoint, json, predictions, targets, dtype = "as_trained";
  bool table = true;
  DataOptions data;
  DeviceOptions device;
};

void add_options(OptionTable& t, EvalCommand& o) {
  t.add("checkpoint", o.checkpoint, "a classifier: RUN/best.safetensors, or one of RUN/checkpoints")
      .shown_as("FILE")
      .must_be_given();
  t.add("data", o.data.data, "labelled images, as mae pretrain takes them; of a folder with splits, its test images")
      .shown_as("PATH")
      .must_be_given();
  t.add("targets", o.targets, "of a classifier with --task multi: a CSV with a column for each class").shown_as("CSV");
  add_orientation_option(t, o.data.orientation);
  t.add("dtype", o.dtype, "of the computation; as_trained: that of the run, whose numbers then come out again")
      .one_of({"as_trained", "f32", "bf16", "f64"});
  t.add("table", o.table, "print what is taken for what, where there are at most 20 classes, or each class's numbers");
  t.add("predictions", o.predictions, "write what was said of each image to this file").shown_as("CSV");
  t.add("json", o.json, "write the numbers to this file too, with those of each class").shown_as("FILE");
  add_device_options(t, o.device);
}

/// The images that are named; of a folder with splits, where none is named, the test split, else the other one.
mae::Dataset open_test_data(const EvalCommand& o, const mae::Config& config) {
  DataOptions data = o.data;
  const std::vector<std::string> others = mae::other_splits(data.data);
  if (others.empty()) return open_training_data(data, config);
  return require_test_data(data, config);
}

kernels::DType dtype_for(const EvalCommand& o, const engine::Checkpoint& checkpoint) {
  if (o.dtype != "as_trained") return compute_type(o.dtype);
  const auto found = checkpoint.metadata.find("run.compute");
  return compute_type(found == checkpoint.metadata.end() ? "f32" : found->second);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

/// sample, file, label, then of a single task the prediction, its probability and whether it is right; of a multi task
/// the probability of each class.
void write_predictions(const std::string& path, const mae::Scores& s, const mae::ClassifierConfig& c,
                       const mae::Dataset& data) {
  const bool single = c.task == mae::Task::single;
  std::string text = single ? "sample,file,label,predicted,probability,correct\n" : "sample,file";
  for (std::size_t k = 0; !single && k < c.classes.size(); ++k)
    text += "," + quoted(c.classes[k]) + (k + 1 == c.classes.size() ? "\n" : "");
  for (std::int64_t i = 0; i < s.count; ++i) {
    const double* z = s.logits.data() + i * s.K;
    text += fmt::format("{},{}", i, quoted(data.file ? data.file(i) : ""));
    if (single) {
      const auto best = std::max_element(z, z + s.K) - z;
      const double sum =
          std::accumulate(z, z + s.K, 0.0, [&](double a, double x) { return a + std::exp(x - z[best]); });
      const std::int32_t label = s.labels[static_cast<std::size_t>(i)];
      text += fmt::format(",{},{},{:.6g},{}\n", label < 0 ? "" : quoted(c.classes[static_cast<std::size_t>(label)]),
                          quoted(c.classes[static_cast<std::size_t>(best)]), 1 / sum, label == best ? 1 : 0);
    } else {
      for (std::int64_t k = 0; k < s.K; ++k) text += fmt::format(",{:.6g}", 1 / (1 + std::exp(-z[k])));
      text += "\n";
    }
  }
  engine::write_atomically(path, [&](engine::FileWriter& file) { file.write(text); });
}

}  // namespace

int eval(int argc, char** argv) {
  EvalCommand o;
  OptionTable table("eval", "how often is a fine-tuned classifier right?",
                    "mae eval --checkpoint runs/finetuned/best.safetensors --data DIR:val --predictions out.csv");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  check_output_file("--json", o.json);
  check_output_file("--predictions", o.predictions);
  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const engine::Checkpoint checkpoint = mae::model_metadata(o.checkpoint);
  tell(mae::Weights(o.checkpoint));
  mae::adopt_choices(checkpoint);
  const kernels::DType compute = dtype_for(o, checkpoint);
  const auto classifier = mae::load_classifier(stream, o.checkpoint, compute);
  const mae::ClassifierConfig& config = classifier->config();
  const mae::Dataset data = open_test_data(o, config.encoder);
  std::vector<std::int8_t> targets;
  if (config.task == mae::Task::multi) {
    if (o.targets.empty()) throw UsageError("yes and no for each class are not given", "--targets", "--targets CSV");
    mae::MultiLabels labels = mae::load_multi_labels(o.targets, data, mae::EmptyClasses::allow);
    if (labels.classes != config.classes)
      throw kernels::Error("the columns are other ones than the classes of the checkpoint", o.targets);
    targets = std::move(labels.targets);
  } else {
    require_classes(config.classes, data);
  }

  engine::Workspace workspace(stream, compute);
  mae::Evaluator evaluator(workspace, *classifier, data.dtype);
  workspace.reserve();
  ProgressWriter progress;
  const mae::Scores scores = evaluator.run(data, show_images(progress, data.size));
  progress.finish();
  const Evaluation found = evaluate(scores, config.task, targets);
  fmt::print("{} images of {}\n", data.size, data.path);
  const Json numbers = summary(found);
  for (const Json& number : numbers.as_object()) fmt::print("{:<18} {:.4f}\n", number.key, number.as_double());
  if (const std::string table_text = table_of(found, config.classes); o.table && !table_text.empty())
    fmt::print("\n{}", table_text);
  if (!o.predictions.empty()) write_predictions(o.predictions, scores, config, data);
  if (!o.json.empty()) write_json(o.json, details(found, config.classes));
  return done;
}

}  // namespace apps
