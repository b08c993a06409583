#include "apps/step_results.h"

#include <algorithm>
#include <filesystem>

#include "engine/files.h"
#include "engine/json.h"

namespace apps {
namespace {

using engine::Json;
using Sizes = std::map<std::string, double>;

// A value of another type than the one that is wanted counts as absent.

std::string text_of(const Json& json, const char* key) {
  const Json* found = json.find(key);
  return found && found->kind == Json::Kind::string ? found->text : "";
}

std::optional<double> number_of(const Json& json, const char* key) {
  const Json* found = json.find(key);
  if (!found || (found->kind != Json::Kind::number && found->kind != Json::Kind::integer)) return {};
  return found->as_double();
}

bool bool_of(const Json& json, const char* key, bool otherwise) {
  const Json* found = json.find(key);
  return found && found->kind == Json::Kind::boolean ? found->as_bool() : otherwise;
}

/// The items of an array or object; none where there is no such.
const std::vector<Json>& items_of(const Json& json, const char* key) {
  static const std::vector<Json> none;
  const Json* found = json.find(key);
  return found ? found->items : none;
}

std::int64_t whole(std::optional<double> value) {
  constexpr double most = 1 << 30;  // images of a batch
  return value && *value >= 1 && *value <= most ? static_cast<std::int64_t>(*value) : 0;
}

Origin origin_of(const Json& json, const std::string& file) {
  Origin origin{.file = file,
                .date = text_of(json, "date"),
                .commit = text_of(json, "commit"),
                .kind = text_of(json, "device"),
                .device = text_of(json, "name"),
                .threads = {}};
  if (const auto threads = number_of(json, "threads")) origin.threads = static_cast<int>(whole(threads));
  return origin;
}

Sizes sizes_of(const Json& model) {
  Sizes sizes;
  for (const Json& size : model.items) {
    if (const auto value = number_of(model, size.key.c_str())) sizes[size.key] = *value;
  }
  return sizes;
}

void add_rates(StepResults& results, const Json& json, const Origin& origin) {
  const Json* ceilings = json.find("ceilings");
  if (!ceilings) return;
  MeasuredRates rates{.origin = origin, .products = {}};
  if (const Json* copy = ceilings->find("copy")) rates.copy = number_of(*copy, "gb_per_s").value_or(0) * 1e9;
  for (const Json& product : items_of(*ceilings, "product")) {
    const double rate = number_of(product, "gflop_per_s").value_or(0) * 1e9;
    if (rate > 0) rates.products[product.key] = rate;
  }
  if (rates.copy > 0) results.rates.push_back(rates);
}

/// A step of training is fed from the host's memory. One that waits for a loader, or that lies on the device already,
/// says how fast that is. Files that do not say are older than the other inputs.
void add_step(StepResults& results, MeasuredStep step, const Json& result) {
  const std::string input = text_of(result, "input"), launch = text_of(result, "launch");
  if (!input.empty() && input != "ready") return;
  if (!launch.empty()) step.replayed = launch == "graph";
  step.batch = whole(number_of(result, "batch"));
  const double us = number_of(result, "median_us").value_or(0);
  step.images_per_s =
      number_of(result, "images_per_s").value_or(us > 0 ? static_cast<double>(step.batch) / us * 1e6 : 0);
  if (step.micro_batch == 0) step.micro_batch = step.batch;
  if (step.batch > 0 && step.images_per_s > 0) results.steps.push_back(step);
}

/// A run of `mae bench step`; of `mae bench kernels` the ceilings alone.
void add_run(StepResults& results, const Json& json, const std::string& file) {
  MeasuredStep step{.origin = origin_of(json, file),
                    .dtype = text_of(json, "dtype"),
                    .sizes = {},
                    .rows = {},
                    .replayed = bool_of(json, "graph", true),
                    .micro_batch = whole(number_of(json, "micro_batch"))};
  add_rates(results, json, step.origin);
  const Json* model = json.find("model");
  if (!model) return;
  step.sizes = sizes_of(*model);
  if (const Json* execution = json.find("execution")) {
    for (const mae::ExecutionField& field : mae::execution_fields())
      step.execution.*field.member = bool_of(*execution, field.key, step.execution.*field.member);
  }
  for (const Json& row : items_of(json, "rows")) step.rows.push_back(row.text);
  for (const Json& result : items_of(json, "results")) add_step(results, step, result);
}

/// Our part of a comparison with others. With options for all contenders it is left out: they may be switches.
void add_side_by_side(StepResults& results, const Json& json, const std::string& file) {
  if (!items_of(json, "options").empty()) return;
  for (const Json& run : items_of(json, "runs")) {
    const Json* model = run.find("model");
    for (const Json& contender : items_of(run, "contenders")) {
      if (!model || text_of(contender, "contender") != "mae.cu") continue;
      Json result = contender;
      if (const Json* batch = run.find("batch")) result.add("batch", *batch);
      add_step(results,
               {.origin = origin_of(contender, file),
                .dtype = text_of(json, "dtype"),
                .sizes = sizes_of(*model),
                .rows = {}},
               result);
    }
  }
}

void add_file(StepResults& results, const std::filesystem::path& path) {
  const std::string file = path.filename().string();
  const Json json = engine::parse_json(engine::read_file(path.string()), path.string());
  if (text_of(json, "kind") == "side_by_side") return add_side_by_side(results, json, file);
  const std::vector<Json>& runs = items_of(json, "runs");
  for (const Json& run : runs) add_run(results, run, file);
  if (runs.empty()) add_run(results, json, file);
}

}  // namespace

StepResults read_step_results(const std::string& path) {
  namespace fs = std::filesystem;
  StepResults results;
  std::error_code unknown;
  if (!fs::exists(path, unknown)) throw kernels::Error("there is no such file or folder", path);
  if (!fs::is_directory(path)) return add_file(results, path), results;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.path().extension() == ".json" && entry.is_regular_file(unknown)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) add_file(results, file);
  return results;
}

}  // namespace apps
