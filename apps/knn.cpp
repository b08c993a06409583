#include "mae/knn.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/feature_rows.h"
#include "apps/output_file.h"
#include "apps/table.h"
#include "engine/json.h"

namespace apps {
namespace {

using engine::Json;

struct KnnCommand {
  FeatureOptions features;
  std::vector<std::int64_t> k{20};
  double temperature = 0.07;
};

void add_options(OptionTable& t, KnnCommand& o) {
  add_feature_options(t, o.features, "classify");
  t.add("k", o.k, "neighbours that vote; a list makes a table");
  t.add("temperature", o.temperature, "T: a neighbour's vote weighs exp(cosine similarity / T)");
  add_place_options(t, o.features);
}

/// What would only fail after minutes of encoding; FeatureSource has checked the rest.
void check(const KnnCommand& o, std::int64_t train_size) {
  for (const std::int64_t n : o.features.labels) {
    const std::int64_t used = n == 0 ? train_size : n;
    for (const std::int64_t k : o.k) {
      if (k < 1 || k > used)
        throw UsageError(fmt::format("{} neighbours of {} training images", k, used), "--k",
                         fmt::format("1 to {}", used));
    }
  }
}

/// A cell for each k. All labels are one choice, whatever the seed.
std::vector<SeedSpread> classify(const FeatureRow& row, std::int64_t labels, const KnnCommand& o,
                                 ProgressWriter& progress) {
  std::vector<SeedSpread> cells(o.k.size());
  const bool all = labels == 0 || labels == row.train.count;
  for (int seed = 0; seed < (all ? 1 : o.features.seeds); ++seed) {
    const double start = clock_seconds();
    const auto results = mae::nearest_neighbours(
        row.train, row.test,
        {.k = o.k, .temperature = o.temperature, .labels = labels, .seed = static_cast<std::uint32_t>(seed)});
    std::string text;
    for (std::size_t i = 0; i < results.size(); ++i) {
      cells[i].add(results[i].top1);
      text += fmt::format("{}k {}: top-1 {:.2f} %", i == 0 ? "" : ", ", results[i].k, results[i].top1);
    }
    progress.note(fmt::format("kNN, {}, {}, {} labels, seed {}: {} ({})", row.name, row.details, results[0].labels,
                              seed, text, short_time(clock_seconds() - start)));
  }
  return cells;
}

}  // namespace

int knn(int argc, char** argv) {
  KnnCommand command;
  FeatureOptions& o = command.features;
  OptionTable table("knn", "how good are the features? A vote of the nearest training images, nothing fitted",
                    "mae knn --checkpoint FILE --data /usr/share/datasets/fashion-mnist --k 10,20 --baselines");
  add_options(table, command);
  if (!table.parse(argc, argv)) return done;
  if (o.seeds < 1) throw UsageError("at least one seed is needed", "--seeds", "--seeds 3");
  if (command.k.empty()) throw UsageError("no number of neighbours is given", "--k", "--k 20");
  if (!(command.temperature > 0))
    throw UsageError(fmt::format("the temperature is {:g}", command.temperature), "--temperature",
                     "--temperature 0.07");

  FeatureSource source(o, "classify");
  check(command, source.train.size);
  ProgressWriter progress;
  std::vector<std::vector<std::string>> cells{{"features \\ labels, k"}};
  for (const std::int64_t n : o.labels) {
    for (const std::int64_t k : command.k)
      cells[0].push_back(fmt::format("{}, k {}", n == 0 ? source.train.size : n, k));
  }
  Json results = Json::array();
  for (const FeatureRow& row : feature_rows(source, o, progress)) {
    cells.push_back({row.name + ", " + row.details});
    for (const std::int64_t n : o.labels) {
      const std::vector<SeedSpread> found = classify(row, n, command, progress);
      for (std::size_t i = 0; i < found.size(); ++i) {
        cells.back().push_back(text_of(found[i], o.seeds));
        results.add({}, Json::object({{"features", row.name},
                                      {"details", row.details},
                                      {"labels", n == 0 ? source.train.size : n},
                                      {"k", command.k[i]},
                                      {"top1", found[i].mean()},
                                      {"spread", found[i].spread()},
                                      {"top1_by_seed", found[i].values}}));
      }
    }
  }
  fmt::print("\nk nearest neighbours, temperature {:g}: top-1 % on all {} test images{}\n\n{}", command.temperature,
             source.test.size, seeds_text(o.seeds), aligned(cells, "l" + std::string(cells[0].size() - 1, 'r')));
  if (!o.json.empty()) {
    write_json(o.json, Json::object({{"temperature", command.temperature},
                                     {"test_images", source.test.size},
                                     {"seeds", o.seeds},
                                     {"results", results}}));
  }
  return done;
}

}  // namespace apps
