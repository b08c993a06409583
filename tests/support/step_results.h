// Made-up measurements in the form of `mae bench step --json`.
#pragma once

#include <string>

#include "apps/model_sizes.h"
#include "apps/step_match.h"
#include "engine/files.h"
#include "engine/json.h"
#include "mae/model.h"

namespace test {

using engine::Json;

/// Small, and of sizes that all differ.
inline mae::Config measured_model() {
  mae::Config c = mae::preset("mae_vit_tiny_patch16");
  c.image_height = 64, c.image_width = 96;
  c.dim = 96, c.depth = 2, c.heads = 3, c.decoder_dim = 64, c.decoder_depth = 1, c.decoder_heads = 2;
  return c;
}

inline std::int64_t parameters_of(const mae::Config& config) {
  return mae::Model(config, kernels::DType::f32).parameters().count();
}

inline Json described(const mae::Config& c) { return apps::model_sizes(c, parameters_of(c)); }

struct StepRun {
  std::string date = "2026-01-02T03:04:05Z", device = "cuda", name = "NVIDIA H100 80GB HBM3", dtype = "bf16";
  Json model = described(measured_model());
  std::int64_t batch = 64;
  double images_per_s = 1000;
};

/// What `mae bench step --json` writes.
inline Json to_json(const StepRun& r) {
  const Json result = Json::object({{"batch", r.batch},
                                    {"median_us", 1e6 * static_cast<double>(r.batch) / r.images_per_s},
                                    {"images_per_s", r.images_per_s}});
  return Json::object({{"date", r.date},
                       {"commit", "0123456789abcdef"},
                       {"device", r.device},
                       {"name", r.name},
                       {"dtype", r.dtype},
                       {"model", r.model},
                       {"results", Json::array({result})}});
}

/// `ceilings` of a run.
inline Json rates(double copy_gb, double bf16_gflop) {
  return Json::object({{"copy", Json::object({{"gb_per_s", copy_gb}})},
                       {"product", Json::object({{"bf16", Json::object({{"gflop_per_s", bf16_gflop}})}})}});
}

inline void write_text(const std::string& path, const std::string& text) {
  engine::write_atomically(path, [&](engine::FileWriter& file) { file.write(text); });
}
inline void write_json(const std::string& path, const Json& json) { write_text(path, to_text(json)); }

/// The same model in bf16 on an H100.
inline apps::Work measured_work(std::int64_t micro_batch) {
  return {.step = {.config = measured_model(),
                   .batch = micro_batch * 4,
                   .micro_batch = micro_batch,
                   .compute = kernels::DType::bf16},
          .parameters = parameters_of(measured_model()),
          .device = kernels::find_device("h100-80"),
          .processor = "Some CPU",
          .threads = 2,
          .rows = {}};
}

}  // namespace test
