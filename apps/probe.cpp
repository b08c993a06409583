#include "mae/probe.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/device_options.h"
#include "apps/output_file.h"
#include "apps/pixel_keys.h"
#include "apps/progress.h"
#include "apps/table.h"
#include "engine/json.h"
#include "engine/number.h"
#include "mae/features.h"
#include "mae/model_file.h"

namespace apps {
namespace {

using engine::Json;

struct ProbeCommand {
  std::string checkpoint, pooling = "mean", protocol = "quick", json;
  DataOptions data;
  bool raw_pixels = false, random_init = false, baselines = false;
  std::vector<std::int64_t> labels{0};
  int seeds = 1;
  DeviceOptions device;
};

struct Row {
  std::string name, details;  // "pretrained encoder", "mean after 7 epochs"
  mae::Features train, test;
};

/// Mean and spread (largest minus smallest) of top-1 over seeds.
struct Cell {
  std::int64_t labels = 0;
  double mean = 0, spread = 0;
  bool converged = true;
};

Cell fit(const Row& row, std::int64_t labels, int seeds, ProgressWriter& progress) {
  Cell cell{.labels = labels};
  double low = 100, high = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    const mae::ProbeResult r =
        mae::linear_probe(row.train, row.test, {.labels = labels, .seed = static_cast<std::uint32_t>(seed)});
    progress.note(
        fmt::format("protocol quick, {}, {}, {} labels, seed {}: top-1 {:.2f} % test ({:.2f} % train), penalty {:g}, "
                    "{} iterations",
                    row.name, row.details, r.labels, seed, r.top1, r.train_top1, r.penalty, r.iterations) +
        (r.converged ? "" : " (the most allowed)"));
    cell.converged = cell.converged && r.converged;
    cell.labels = r.labels;
    cell.mean += r.top1 / seeds;
    low = std::min(low, r.top1);
    high = std::max(high, r.top1);
  }
  cell.spread = high - low;
  return cell;
}

mae::Features encode(kernels::Stream& stream, const mae::Model& model, const mae::Dataset& data, mae::Pooling pooling,
                     const std::string& what, ProgressWriter& progress) {
  const double start = clock_seconds();
  double said = start;
  const mae::Features features = mae::encoder_features(stream, model, data, pooling, [&](std::int64_t done) {
    const double now = clock_seconds();
    if (now - said < 10 || done == data.size) return;
    said = now;
    const double left = (now - start) * static_cast<double>(data.size - done) / static_cast<double>(done);
    progress.note(fmt::format("{}: {} of {} images encoded, ETA {}", what, done, data.size, short_time(left)));
  });
  const double seconds = clock_seconds() - start;
  progress.note(fmt::format("{}: {} images encoded in {}, {:.0f} images/s", what, data.size, short_time(seconds),
                            static_cast<double>(data.size) / seconds));
  return features;
}

void add_options(OptionTable& t, ProbeCommand& o) {
  t.add("checkpoint", o.checkpoint, "the model; its config alone is used with --random-init")
      .shown_as("FILE")
      .must_be_given();
  t.add("features", o.pooling, "mean of the patch tokens, or the class token, after the encoder's final norm")
      .one_of({"mean", "cls"});
  t.add("raw_pixels", o.raw_pixels, "probe the pixels instead of the model");
  t.add("random_init", o.random_init, "probe the model as it was before training");
  t.add("baselines", o.baselines, "all three, in one table");
  t.add("labels", o.labels, "training labels used, class-balanced; a list makes a table; 0: all");
  t.add("seeds", o.seeds, "choices of labels: mean and spread are printed");
  t.add("protocol", o.protocol, "quick: softmax regression on standardised features, no augmentation (mae/probe.h)")
      .one_of({"quick"});
  t.add("json", o.json, "write the table to this file too").shown_as("FILE");
  add_data_options(t, o.data);
  add_device_options(t, o.device);
}

std::vector<Row> feature_rows(kernels::Stream& stream, const ProbeCommand& o, const mae::Config& config,
                              const mae::Dataset& train, const mae::Dataset& test, std::uint32_t seed, double epochs,
                              ProgressWriter& progress) {
  const mae::Pooling pooling = o.pooling == "cls" ? mae::Pooling::cls : mae::Pooling::mean;
  std::vector<Row> rows;
  if (o.raw_pixels || o.baselines) {
    const auto pixels = [&](const mae::Dataset& d) {
      return mae::pixel_features(d, config.image_height, config.image_width);
    };
    rows.push_back({"raw pixels", "no encoder", pixels(train), pixels(test)});
  }
  if (o.random_init || o.baselines) {
    mae::Model model(config, kernels::DType::f32);
    model.initialize(stream, seed, engine::Purpose::inference);
    rows.push_back({"random encoder", o.pooling + " after 0 epochs",
                    encode(stream, model, train, pooling, "random encoder", progress),
                    encode(stream, model, test, pooling, "random encoder, test", progress)});
  }
  if (o.baselines || (!o.raw_pixels && !o.random_init)) {
    const auto model = mae::load_model(stream, o.checkpoint, kernels::DType::f32);
    rows.push_back({"pretrained encoder", fmt::format("{} after {:.3g} epochs", o.pooling, epochs),
                    encode(stream, *model, train, pooling, "pretrained encoder", progress),
                    encode(stream, *model, test, pooling, "pretrained encoder, test", progress)});
  }
  return rows;
}

/// What would only fail after minutes of encoding.
void check(const ProbeCommand& o, const mae::Dataset& train, const mae::Dataset& test) {
  if (train.classes.empty())
    throw kernels::Error("these images have no labels to probe", o.data.data,
                         "class folders, or an IDX or CIFAR-10 file");
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

}  // namespace

int probe(int argc, char** argv) {
  ProbeCommand o;
  OptionTable table("probe", "how good are the features? A linear classifier on the frozen encoder",
                    "mae probe --checkpoint FILE --data /usr/share/datasets/fashion-mnist --labels 60000,6000,600 "
                    "--seeds 3 --baselines");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  if (o.seeds < 1) throw UsageError("at least one seed is needed", "--seeds", "--seeds 3");

  kernels::Stream stream(open_device(o.device));
  force_rows(stream, o.device);
  const engine::Checkpoint checkpoint = engine::read_checkpoint(o.checkpoint);
  const mae::Config config = mae::config_of(checkpoint, o.checkpoint);
  const mae::Dataset train = open_training_data(o.data, config), test = require_test_data(o.data, config);
  check(o, train, test);
  if (const auto far = far_from_config(survey_of_first(train, 0), train, config))
    warn(kernels::Error(far->fact(), far->where(), "images in the units that the model was pretrained on"));
  const auto run_number = [&]<class T>(const char* key, T otherwise) {
    const auto found = checkpoint.metadata.find(key);
    if (found == checkpoint.metadata.end()) return otherwise;
    if (const auto value = engine::parse_number<T>(found->second)) return *value;
    throw kernels::Error(fmt::format("the metadata \"{}\" is \"{}\", no number", key, found->second), o.checkpoint);
  };
  const auto seed = run_number("run.seed", std::uint32_t{0});
  const auto epochs = run_number("run.epochs", 0.0);

  ProgressWriter progress;
  std::vector<std::vector<std::string>> cells{{"features \\ labels"}};
  for (std::int64_t n : o.labels) cells[0].push_back(std::to_string(n == 0 ? train.size : n));
  Json results = Json::array();
  for (const Row& row : feature_rows(stream, o, config, train, test, seed, epochs, progress)) {
    cells.push_back({row.name + ", " + row.details});
    for (std::int64_t n : o.labels) {
      const Cell cell = fit(row, n, o.seeds, progress);
      cells.back().push_back(o.seeds > 1 ? fmt::format("{:.2f} ({:.2f})", cell.mean, cell.spread)
                                         : fmt::format("{:.2f}", cell.mean));
      results.add({}, Json::object({{"features", row.name},
                                    {"details", row.details},
                                    {"labels", cell.labels},
                                    {"top1", cell.mean},
                                    {"spread", cell.spread},
                                    {"converged", cell.converged}}));
    }
  }
  fmt::print("\nlinear probe, protocol {}: top-1 % on all {} test images{}\n\n{}", o.protocol, test.size,
             o.seeds > 1 ? fmt::format(", mean (spread) of {} choices of labels", o.seeds) : std::string(),
             aligned(cells, "l" + std::string(o.labels.size(), 'r')));
  if (!o.json.empty()) {
    write_json(
        o.json,
        Json::object({{"protocol", o.protocol}, {"test_images", test.size}, {"seeds", o.seeds}, {"results", results}}));
  }
  return done;
}

}  // namespace apps
