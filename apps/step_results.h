// What measured steps say, from the JSON files of `mae bench step`, `mae bench kernels` and bench/side_by_side.py: how
// fast a model trains on a device, and what the device can do at most.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mae/execution.h"

namespace apps {

/// Where a figure comes from. Empty: the file does not say.
struct Origin {
  std::string file;            // its name, without folders
  std::string date, commit;    // "2026-11-27T08:24:31Z"
  std::string kind, device;    // "cuda", "NVIDIA H100 80GB HBM3"; "cpu", "AMD EPYC"
  std::optional<int> threads;  // of a CPU
};

/// Steps of one size. What a file does not say is as it is by default.
struct MeasuredStep {
  Origin origin;
  std::string dtype;                    // "bf16"
  std::map<std::string, double> sizes;  // of the model, as `mae bench step --describe` names them
  mae::Execution execution;
  std::vector<std::string> rows;  // forced: "matmul=mma"
  bool replayed = true;           // from a graph, as in training
  std::int64_t batch = 0, micro_batch = 0;
  double images_per_s = 0;
};

/// The `ceilings` of a run of `mae bench`.
struct MeasuredRates {
  Origin origin;
  double copy = 0;                         // bytes a second, read and written
  std::map<std::string, double> products;  // FLOP/s of a large matrix product, by dtype
};

struct StepResults {
  std::vector<MeasuredStep> steps;
  std::vector<MeasuredRates> rates;
};

/// Of a file, or of all files *.json of a folder, also of folders in it. JSON of other kinds, steps of another input
/// than "ready", and parts that lack what is needed, are left out. Throws kernels::Error naming the file that is not
/// JSON, or what does not exist.
StepResults read_step_results(const std::string& path);

}  // namespace apps
