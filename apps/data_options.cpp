#include "apps/data_options.h"

#include "kernels/core/check.h"

namespace apps {
namespace {

mae::Dataset open_for(const std::string& path, const mae::Config& config) {
  mae::Dataset data = mae::open_dataset(path, config.channels);
  if (data.channels != config.channels) {
    throw kernels::Error("the images have " + std::to_string(data.channels) + " channels, the model has " +
                             std::to_string(config.channels),
                         path, "--channels " + std::to_string(data.channels) + ", with --mean and --std to match");
  }
  return data;
}

}  // namespace

void add_data_options(OptionTable& options, DataOptions& data) {
  options.group("Data");
  options
      .add("data", data.data,
           "training images: an image folder, or a file or folder in IDX or CIFAR-10 format; DIR:test is the other "
           "split")
      .shown_as("PATH")
      .must_be_given();
  options
      .add("val_data", data.val_data,
           "images that are never trained on; default: the other split of --data, if it has one")
      .shown_as("PATH");
}

mae::Dataset open_training_data(const DataOptions& options, const mae::Config& config) {
  return open_for(options.data, config);
}

mae::Dataset open_validation_data(const DataOptions& options, const mae::Config& config) {
  if (!options.val_data.empty()) return open_for(options.val_data, config);
  const std::size_t colon = options.data.rfind(":train");
  const bool says_train = colon != std::string::npos && colon + 6 == options.data.size();
  const std::string folder = says_train ? options.data.substr(0, colon) : options.data;
  if (!mae::has_test_split(folder)) return {};
  return open_for(folder + ":test", config);
}

mae::Dataset require_validation_data(const DataOptions& options, const mae::Config& config) {
  mae::Dataset data = open_validation_data(options, config);
  if (data.size == 0)
    throw kernels::Error("there are no test images beside these training images", options.data, "--val-data PATH");
  return data;
}

}  // namespace apps
