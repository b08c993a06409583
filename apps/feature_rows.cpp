#include "apps/feature_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "apps/cli.h"
#include "apps/output_file.h"
#include "apps/pixel_keys.h"
#include "engine/number.h"

namespace apps {
namespace {

mae::Features encode(const FeatureModel& model, const mae::Dataset& data, const std::string& what,
                     ProgressWriter& progress) {
  const double start = clock_seconds();
  const mae::Features features = model.of(data, show_images(progress, data.size, what));
  const double seconds = clock_seconds() - start;
  progress.note(fmt::format("{}: {} images encoded in {}, {:.0f} images/s", what, data.size, short_time(seconds),
                            static_cast<double>(data.size) / seconds));
  return features;
}

/// What would only fail after minutes of encoding.
void check(const FeatureOptions& o, const mae::Dataset& train, const mae::Dataset& test, const std::string& verb) {
  if (train.classes.empty())
    throw kernels::Error("these images have no labels to " + verb, o.data.data,
                         "class folders, IDX, CIFAR, tar shards with .cls files, or a table");
  const std::size_t known = std::min(test.classes.size(), train.classes.size());
  if (test.classes.empty() || !std::equal(test.classes.begin(), test.classes.end(), train.classes.begin(),
                                          train.classes.begin() + static_cast<std::ptrdiff_t>(known)))
    throw kernels::Error(fmt::format("these images are of other classes ({}) than the training images ({})",
                                     test.classes.size(), train.classes.size()),
                         test.path, "--val-data with the same class names");
  const auto classes = static_cast<std::int64_t>(train.classes.size());
  if (classes < 2) throw kernels::Error("there is only one class", o.data.data, "at least two classes to tell apart");
  for (std::int64_t n : o.labels) {
    if (n != 0 && (n < classes || n > train.size))
      throw UsageError(fmt::format("{} labels of {} images in {} classes", n, train.size, classes), "--labels",
                       fmt::format("0 for all, or {} to {}", classes, train.size));
  }
  check_output_file("--json", o.json);
}

/// A number of the run, `otherwise` where the checkpoint has none.
template <class T>
T run_number(const engine::Checkpoint& checkpoint, const std::string& path, const char* key, T otherwise) {
  const auto found = checkpoint.metadata.find(key);
  if (found == checkpoint.metadata.end()) return otherwise;
  if (const auto value = engine::parse_number<T>(found->second)) return *value;
  throw kernels::Error(fmt::format("the metadata \"{}\" is \"{}\", no number", key, found->second), path);
}

}  // namespace

void add_feature_options(OptionTable& t, FeatureOptions& o, const std::string& verb) {
  t.add("checkpoint", o.checkpoint, "the model; its config alone is used with --random-init")
      .shown_as("FILE")
      .must_be_given();
  add_features_option(t, o.features);
  t.add("raw_pixels", o.raw_pixels, verb + " the pixels instead of the model");
  t.add("random_init", o.random_init, verb + " the model as it was before training");
  t.add("baselines", o.baselines, "all three, in one table");
  t.add("labels", o.labels, "training labels used, class-balanced; a list makes a table; 0: all");
  t.add("seeds", o.seeds, "choices of labels: mean and spread are printed");
}

void add_place_options(OptionTable& t, FeatureOptions& o) {
  t.add("json", o.json, "write the table to this file too").shown_as("FILE");
  add_data_options(t, o.data);
  add_device_options(t, o.device);
}

void warn_of_units(const mae::Dataset& data, const mae::Config& config) {
  if (const auto far = far_from_config(survey_of_first(data, 0), data, config))
    warn(kernels::Error(far->fact(), far->where(), "images in the units that the model was pretrained on"));
}

FeatureSource::FeatureSource(const FeatureOptions& o, const std::string& verb) : stream(open_device(o.device)) {
  force_rows(stream, o.device);
  const engine::Checkpoint checkpoint = mae::model_metadata(o.checkpoint);
  config = mae::config_of(checkpoint, o.checkpoint);
  pooling = pooling_of(o.features, checkpoint, o.checkpoint);
  train = open_training_data(o.data, config);
  test = require_test_data(o.data, config);
  check(o, train, test, verb);
  warn_of_units(train, config);
  seed = run_number(checkpoint, o.checkpoint, "run.seed", std::uint32_t{0});
  epochs = run_number(checkpoint, o.checkpoint, "run.epochs", 0.0);
}

std::vector<FeatureRow> feature_rows(FeatureSource& source, const FeatureOptions& o, ProgressWriter& progress) {
  const std::string pooling = name_of(source.pooling);
  const auto encoded = [&](const FeatureModel& model, const std::string& name, double epochs) {
    return FeatureRow{name, fmt::format("{} after {:.3g} epochs", pooling, epochs),
                      encode(model, source.train, name, progress),
                      encode(model, source.test, name + ", test", progress)};
  };
  std::vector<FeatureRow> rows;
  if (o.raw_pixels || o.baselines) {
    const auto pixels = [&](const mae::Dataset& d) {
      return mae::pixel_features(d, source.config.image_height, source.config.image_width);
    };
    rows.push_back({"raw pixels", "no encoder", pixels(source.train), pixels(source.test)});
  }
  if (o.random_init || o.baselines) {
    const FeatureModel model(source.stream, source.config, source.seed, source.pooling);
    rows.push_back(encoded(model, "random encoder", 0));
  }
  if (o.baselines || (!o.raw_pixels && !o.random_init)) {
    const FeatureModel model(source.stream, o.checkpoint, source.pooling);
    rows.push_back(encoded(model, model.is_classifier() ? "classifier" : "pretrained encoder", source.epochs));
  }
  return rows;
}

double SeedSpread::mean() const {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double SeedSpread::spread() const {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *high - *low;
}

std::string text_of(const SeedSpread& cell, int seeds) {
  return seeds > 1 ? fmt::format("{:.2f} ({:.2f})", cell.mean(), cell.spread()) : fmt::format("{:.2f}", cell.mean());
}

std::string seeds_text(int seeds) {
  return seeds > 1 ? fmt::format(", mean (spread) of {} choices of labels", seeds) : std::string();
}

}  // namespace apps
