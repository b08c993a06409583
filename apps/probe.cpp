#include "mae/probe.h"

#include <fmt/format.h>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/feature_rows.h"
#include "apps/output_file.h"
#include "apps/table.h"
#include "engine/json.h"

namespace apps {
namespace {

using engine::Json;

struct ProbeCommand {
  FeatureOptions features;
  std::string protocol = "quick";
};

struct Cell {
  std::int64_t labels = 0;
  SeedSpread top1;
  bool converged = true;
};

Cell fit(const FeatureRow& row, std::int64_t labels, int seeds, ProgressWriter& progress) {
  Cell cell{.labels = labels, .top1 = {}};
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
    cell.top1.add(r.top1);
  }
  return cell;
}

void add_options(OptionTable& t, ProbeCommand& o) {
  add_feature_options(t, o.features, "probe");
  t.add("protocol", o.protocol,
        "quick: softmax regression on standardised features, no augmentation (mae/probe.h); official: LARS and batch "
        "norm as in the paper, with options of its own: mae probe --protocol official --help")
      .one_of({"quick", "official"});
  add_place_options(t, o.features);
}

/// Another command by nature: a training run in a folder of its own, with options of its own.
bool wants_official(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--protocol=official") return true;
    if (word == "--protocol" && i + 1 < argc && argv[i + 1] == std::string("official")) return true;
  }
  return false;
}

}  // namespace

int probe(int argc, char** argv) {
  if (wants_official(argc, argv)) return probe_official(argc, argv);
  ProbeCommand command;
  FeatureOptions& o = command.features;
  OptionTable table("probe", "how good are the features? A linear classifier on the frozen encoder",
                    "mae probe --checkpoint FILE --data /usr/share/datasets/fashion-mnist --labels 60000,6000,600 "
                    "--seeds 3 --baselines");
  add_options(table, command);
  if (!table.parse(argc, argv)) return done;
  if (o.seeds < 1) throw UsageError("at least one seed is needed", "--seeds", "--seeds 3");

  FeatureSource source(o, "probe");
  ProgressWriter progress;
  std::vector<std::vector<std::string>> cells{{"features \\ labels"}};
  for (std::int64_t n : o.labels) cells[0].push_back(std::to_string(n == 0 ? source.train.size : n));
  Json results = Json::array();
  for (const FeatureRow& row : feature_rows(source, o, progress)) {
    cells.push_back({row.name + ", " + row.details});
    for (std::int64_t n : o.labels) {
      const Cell cell = fit(row, n, o.seeds, progress);
      cells.back().push_back(text_of(cell.top1, o.seeds));
      results.add({}, Json::object({{"features", row.name},
                                    {"details", row.details},
                                    {"labels", cell.labels},
                                    {"top1", cell.top1.mean()},
                                    {"spread", cell.top1.spread()},
                                    {"top1_by_seed", cell.top1.values},
                                    {"converged", cell.converged}}));
    }
  }
  fmt::print("\nlinear probe, protocol {}: top-1 % on all {} test images{}\n\n{}", command.protocol, source.test.size,
             seeds_text(o.seeds), aligned(cells, "l" + std::string(o.labels.size(), 'r')));
  if (!o.json.empty()) {
    write_json(o.json, Json::object({{"protocol", command.protocol},
                                     {"test_images", source.test.size},
                                     {"seeds", o.seeds},
                                     {"results", results}}));
  }
  return done;
}

}  // namespace apps
