#include "apps/data_options.h"

#include <algorithm>

#include "kernels/core/check.h"

namespace apps {
namespace {

mae::Dataset open_for(const std::string& path, const DataOptions& options, const mae::Config& config) {
  const mae::Reading reading{.channels = config.channels, .orientation = orientation_named(options.orientation)};
  mae::Dataset data = mae::open_dataset(path, reading);
  if (data.channels != config.channels) {
    throw kernels::Error("the images have " + std::to_string(data.channels) + " channels, the model has " +
                             std::to_string(config.channels),
                         path, "--channels " + std::to_string(data.channels) + ", with --mean and --std to match");
  }
  return data;
}

/// Another split of --data, of several the one that is wanted; nothing where there is none.
mae::Dataset open_other_split(const DataOptions& options, const mae::Config& config, const std::string& wanted) {
  if (!options.val_data.empty()) return open_for(options.val_data, options, config);
  const std::size_t colon = options.data.rfind(":train");
  const bool says_train = colon != std::string::npos && colon + 6 == options.data.size();
  const std::string folder = says_train ? options.data.substr(0, colon) : options.data;
  const std::vector<std::string> others = mae::other_splits(folder);
  if (others.empty()) return {};
  const bool there = std::find(others.begin(), others.end(), wanted) != others.end();
  return open_for(folder + ":" + (there ? wanted : others.front()), options, config);
}

}  // namespace

void add_data_options(OptionTable& options, DataOptions& data) {
  options.group("Data");
  options
      .add("data", data.data,
           "training images: a folder of images, a list of files (*.txt, *.csv), IDX, CIFAR or tar shards, each a "
           "file or a folder, or what `mae pack` wrote; DIR:val and DIR:test are other splits")
      .shown_as("PATH")
      .must_be_given();
  options
      .add("val_data", data.val_data,
           "images that are never trained on; default: another split of --data, if it has one")
      .shown_as("PATH");
  add_orientation_option(options, data.orientation);
}

void add_augment_options(OptionTable& options, bool& augment, mae::CropRange& crop) {
  options.add("augment", augment, "random resized crop and horizontal flip");
  options.add("crop_min", crop.scale_low, "smallest crop, as a part of the image's area");
  options.add("crop_max", crop.scale_high, "largest crop");
}

void add_orientation_option(OptionTable& options, std::string& orientation) {
  options
      .add("orientation", orientation,
           "as_stored: a JPEG's EXIF wish to be turned is ignored, as in the reference recipe")
      .one_of({"as_stored", "upright"});
}

mae::Orientation orientation_named(const std::string& name) {
  return name == "upright" ? mae::Orientation::upright : mae::Orientation::as_stored;
}

mae::Dataset open_training_data(const DataOptions& options, const mae::Config& config) {
  return open_for(options.data, options, config);
}

mae::Dataset open_validation_data(const DataOptions& options, const mae::Config& config) {
  return open_other_split(options, config, "val");
}

mae::Dataset require_test_data(const DataOptions& options, const mae::Config& config) {
  mae::Dataset data = open_other_split(options, config, "test");
  if (data.size == 0)
    throw kernels::Error("there are no test images beside these training images", options.data, "--val-data PATH");
  return data;
}

void require_classes(const std::vector<std::string>& of_classifier, const mae::Dataset& data) {
  if (data.classes.empty())
    throw kernels::Error("these images have no labels", data.path,
                         "class folders, IDX, CIFAR, tar shards with .cls files, or a table");
  const std::vector<std::string>& own = data.classes;
  // a file of others' weights has no names: its classes are those of the images, in order
  std::size_t numbered = 0;
  while (numbered < of_classifier.size() && of_classifier[numbered] == std::to_string(numbered)) ++numbered;
  if (numbered == of_classifier.size() && own.size() == numbered) return;
  if (own.size() <= of_classifier.size() && std::equal(own.begin(), own.end(), of_classifier.begin())) return;
  throw kernels::Error("these images are of other classes (" + std::to_string(own.size()) +
                           ") than the classifier's (" + std::to_string(of_classifier.size()) + ")",
                       data.path, "images of the same class names");
}

}  // namespace apps
