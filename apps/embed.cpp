#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/feature_rows.h"
#include "apps/output_file.h"
#include "apps/table.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "mae/model_file.h"
#include "mae/npy_writer.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

struct EmbedCommand {
  std::string checkpoint, out, features = "auto";
  DataOptions data;
  DeviceOptions device;
};

void add_options(OptionTable& t, EmbedCommand& o) {
  t.add("checkpoint", o.checkpoint, "the model").shown_as("FILE").must_be_given();
  t.add("data", o.data.data, "images, as mae pretrain takes them; DIR:val and DIR:test are other splits")
      .shown_as("PATH")
      .must_be_given();
  t.add("out", o.out,
        "FEATURES.npy, with the labels in FEATURES.labels.npy beside it where there are labels; or "
        "FEATURES.safetensors, with both in it")
      .shown_as("FILE")
      .must_be_given();
  add_features_option(t, o.features);
  add_orientation_option(t, o.data.orientation);
  add_device_options(t, o.device);
}

/// "FEATURES.labels.npy"; empty where the file holds the labels itself.
std::string labels_file(const std::string& out) {
  const fs::path path = out;
  if (path.extension() == ".safetensors") return {};
  return (path.parent_path() / (path.stem().string() + ".labels.npy")).string();
}

/// What would only fail after minutes of encoding.
void check_place(const std::string& out) {
  const std::string extension = fs::path(out).extension().string();
  if (extension != ".npy" && extension != ".safetensors")
    throw UsageError(fmt::format("features are not written as \"{}\"", out), "--out",
                     "a name that ends in .npy or .safetensors");
  check_output_file("--out", out);
  check_output_file("--out", labels_file(out));
}

/// Labels of other images would pass for theirs.
void check_no_old_labels(const std::string& out, const mae::Dataset& data) {
  const std::string labels = labels_file(out);
  if (data.classes.empty() && !labels.empty() && fs::exists(labels))
    throw kernels::Error("this file of labels is there, and these images have none", labels,
                         "another --out, or remove it");
}

/// Each file is whole or not there; the features come last, so that where they are new the labels are too.
void write(const EmbedCommand& o, mae::Pooling pooling, const mae::Features& features, const mae::Dataset& data,
           std::int64_t step) {
  const std::vector<std::int64_t> shape{features.count, features.width};
  if (const std::string labels = labels_file(o.out); !labels.empty()) {
    if (!data.classes.empty()) mae::write_npy(labels, kernels::DType::i32, {features.count}, features.labels.data());
    mae::write_npy(o.out, kernels::DType::f32, shape, features.values.data());
    return;
  }
  std::vector<engine::TensorToWrite> tensors{{"features", kernels::DType::f32, shape, features.values.data()}};
  engine::Metadata metadata{{"checkpoint", o.checkpoint},
                            {"step", std::to_string(step)},
                            {"pooling", name_of(pooling)},
                            {"data", data.path},
                            {"data_fingerprint", fmt::format("{:016x}", data.fingerprint)}};
  if (!data.classes.empty()) {
    tensors.push_back({"labels", kernels::DType::i32, {features.count}, features.labels.data()});
    metadata.emplace_back("classes", to_text(engine::Json(data.classes)));
  }
  engine::write_safetensors(o.out, metadata, tensors);
}

}  // namespace

int embed(int argc, char** argv) {
  EmbedCommand o;
  OptionTable table("embed", "the features of images, one vector each, as a file for other programs",
                    "mae embed --checkpoint FILE --data DIR:test --out test.npy");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  check_place(o.out);

  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const engine::Checkpoint checkpoint = mae::model_metadata(o.checkpoint);
  const mae::Config config = mae::config_of(checkpoint, o.checkpoint);
  const mae::Pooling pooling = pooling_of(o.features, checkpoint, o.checkpoint);
  const mae::Dataset data = open_training_data(o.data, config);
  check_no_old_labels(o.out, data);
  warn_of_units(data, config);
  const FeatureModel model(stream, o.checkpoint, pooling);

  ProgressWriter progress;
  const mae::Features features = model.of(data, show_images(progress, data.size));
  progress.finish();
  if (const auto bad =
          std::find_if_not(features.values.begin(), features.values.end(), [](float v) { return std::isfinite(v); });
      bad != features.values.end())
    throw kernels::Error("features are not finite: " + name_of(data, (bad - features.values.begin()) / features.width),
                         o.checkpoint, "a checkpoint from before the training diverged");
  write(o, pooling, features, data, checkpoint.step);
  fmt::print("{}: {} x {} f32, {} after {} steps\n", printable(o.out), features.count, features.width,
             pooling == mae::Pooling::cls ? "class token" : "mean of the patch tokens", checkpoint.step);
  if (const std::string labels = labels_file(o.out); !data.classes.empty())
    fmt::print("{}: labels of {} classes\n", printable(labels.empty() ? o.out : labels), data.classes.size());
  return done;
}

}  // namespace apps
