// --data and --val-data: what a command reads, checked against what a model wants.
#pragma once

#include <string>
#include <vector>

#include "apps/options.h"
#include "mae/augment.h"
#include "mae/config.h"
#include "mae/dataset.h"

namespace apps {

struct DataOptions {
  std::string data, val_data, orientation = "as_stored";
};

void add_data_options(OptionTable& options, DataOptions& data);

/// --augment, --crop-min and --crop-max.
void add_augment_options(OptionTable& options, bool& augment, mae::CropRange& crop);

/// --orientation alone, and what it says.
void add_orientation_option(OptionTable& options, std::string& orientation);
mae::Orientation orientation_named(const std::string& name);

mae::Dataset open_training_data(const DataOptions& options, const mae::Config& config);

/// --val-data; without it the split val of --data, or its test where it has no val; else an empty data set (size 0).
mae::Dataset open_validation_data(const DataOptions& options, const mae::Config& config);

/// --val-data; without it the split test of --data, or its val where it has no test. For commands that cannot do
/// without: the error names the flag.
mae::Dataset require_test_data(const DataOptions& options, const mae::Config& config);

/// Refuses images whose classes are not those of a classifier, or the first of them.
void require_classes(const std::vector<std::string>& of_classifier, const mae::Dataset& data);

}  // namespace apps
