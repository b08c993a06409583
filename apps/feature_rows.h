// What `mae probe` and `mae knn` share: the features of training and test images by a pretrained encoder and by its
// baselines, one row of a table each, and the checks that come before minutes of encoding.
#pragma once

#include <string>
#include <vector>

#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/feature_model.h"
#include "apps/progress.h"
#include "mae/model_file.h"

namespace apps {

struct FeatureOptions {
  std::string checkpoint, features = "auto", json;
  DataOptions data;
  bool raw_pixels = false, random_init = false, baselines = false;
  std::vector<std::int64_t> labels{0};
  int seeds = 1;
  DeviceOptions device;
};

/// --checkpoint to --seeds; `verb`: "probe", what is done with the features.
void add_feature_options(OptionTable& table, FeatureOptions& options, const std::string& verb);
/// --json, and the options of data and device.
void add_place_options(OptionTable& table, FeatureOptions& options);

/// Warns where images are not in the units that the model was pretrained on.
void warn_of_units(const mae::Dataset& data, const mae::Config& config);

/// Model and images, opened and checked: labels, classes, --labels and --json are known to be possible.
struct FeatureSource {
  FeatureSource(const FeatureOptions& options, const std::string& verb);

  kernels::Stream stream;
  mae::Config config;
  mae::Pooling pooling;
  mae::Dataset train, test;
  std::uint32_t seed = 0;  // of the run that the checkpoint is of
  double epochs = 0;       // that it had done
};

struct FeatureRow {
  std::string name, details;  // "pretrained encoder", "mean after 7 epochs"
  mae::Features train, test;
};

std::vector<FeatureRow> feature_rows(FeatureSource& source, const FeatureOptions& options, ProgressWriter& progress);

/// Mean and spread (largest minus smallest) of percentages over seeds.
struct SeedSpread {
  std::vector<double> values;  // by seed

  void add(double percent) { values.push_back(percent); }
  double mean() const;
  double spread() const;
};

/// "84.60 (0.08)"; without the spread where one seed was asked for.
std::string text_of(const SeedSpread& cell, int seeds);

/// ", mean (spread) of 3 choices of labels"; nothing for one.
std::string seeds_text(int seeds);

}  // namespace apps
