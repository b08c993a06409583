#include "mae/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/files.h"
#include "engine/pth.h"
#include "engine/safetensors.h"
#include "kernels/core/check.h"
#include "mae/classifier.h"
#include "mae/model.h"
#include "mae/model_file.h"
#include "mae/transformers_config.h"

namespace mae {
namespace {

namespace fs = std::filesystem;
using engine::StoredType;

struct HostTensor {
  std::string key;
  StoredType type;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

template <class T>
std::vector<std::byte> bytes_of(const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

/// What is written, and how the plan says it comes about.
class Collector {
 public:
  Collector(const Weights& weights, const Config& config, WeightFormat format, Interpolation interpolation)
      : weights_(weights), config_(config), format_(format), interpolation_(interpolation) {}

  LoadReport collect(const engine::Parameters& parameters) {
    const auto left_out = [&](const std::string& key) { return format_ == WeightFormat::timm && is_decoder_key(key); };
    const LoadPlan plan(
        weights_, parameters, config_,
        {.interpolation = interpolation_,
         .optional = [&](const std::string& key) { return may_be_missing(weights_, key) || left_out(key); },
         .left_out = left_out});
    if (weights_.ours()) engine::verify_checkpoint(weights_.path());
    for (const engine::Segment& segment : parameters.segments()) add(plan, segment);
    return plan.report();
  }

  /// As it stands in the file, where it is there.
  void add_state(const std::string& key) {
    if (const WeightEntry* entry = weights_.find(key))
      tensors_.push_back({key, entry->type, entry->shape, weights_.read(*entry)});
  }

  const std::vector<HostTensor>& tensors() const { return tensors_; }

 private:
  void add(const LoadPlan& plan, const engine::Segment& segment) {
    const auto& fates = plan.report().fates;
    const auto fate =
        std::find_if(fates.begin(), fates.end(), [&](const TensorFate& f) { return f.name == segment.name; });
    if (fate->fate == Fate::initial) return;
    const WeightEntry& entry = *weights_.find(segment.name);
    HostTensor tensor{
        entry.key, entry.type, {segment.shape.dims.begin(), segment.shape.dims.begin() + segment.shape.rank}, {}};
    if (fate->fate == Fate::loaded) {
      tensor.bytes = weights_.read(entry);
    } else {
      tensor.type = entry.type == StoredType::f64 ? StoredType::f64 : StoredType::f32;
      const std::vector<double> values = plan.values(entry.key);
      tensor.bytes = tensor.type == StoredType::f64 ? bytes_of<double>(values) : bytes_of<float>(values);
    }
    tensors_.push_back(std::move(tensor));
  }

  const Weights& weights_;
  const Config& config_;
  WeightFormat format_;
  Interpolation interpolation_;
  std::vector<HostTensor> tensors_;
};

/// Under the names of another program: q, k and v are thirds of the rows.
std::vector<engine::TensorToWrite> named(const std::vector<HostTensor>& tensors, const Names& names) {
  std::vector<engine::TensorToWrite> written;
  for (const HostTensor& t : tensors) {
    const std::vector<std::string> parts = names_of(t.key, names);
    std::vector<std::int64_t> shape = t.shape;
    if (parts.size() > 1) shape[0] /= static_cast<std::int64_t>(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i)
      written.emplace_back(parts[i], t.type, shape, t.bytes.data() + i * (t.bytes.size() / parts.size()));
  }
  return written;
}

void write_official(const std::string& out, const std::vector<HostTensor>& tensors, engine::Text metadata) {
  const std::string extension = fs::path(out).extension().string();
  const std::vector<engine::TensorToWrite> written = named(tensors, {});
  if (extension == ".pth" || extension == ".pt" || extension == ".bin")
    return engine::write_pth(out, written, {metadata.begin(), metadata.end()});
  metadata["format"] = "mae.cu";
  metadata["format_version"] = std::to_string(engine::checkpoint_version);
  metadata.try_emplace("step", "0");
  write_safetensors(out, {metadata.begin(), metadata.end()}, written, engine::Checksum::crc32);
}

void write_text(const fs::path& path, const engine::Json& json) {
  engine::write_atomically(path.string(), [&](engine::FileWriter& file) { file.write(to_text(json) + "\n"); });
}

void write_transformers(const std::string& out, const std::vector<HostTensor>& tensors, const engine::Text& metadata,
                        const TransformersModel& model) {
  std::error_code error;
  fs::create_directories(out, error);
  if (!fs::is_directory(out)) throw kernels::Error("is no folder, and cannot be made one", out, "another name");
  engine::Metadata all(metadata.begin(), metadata.end());
  std::erase_if(all, [](const auto& entry) { return entry.first.starts_with("format"); });
  all.emplace_back("format", "pt");  // which transformers asks for
  write_safetensors((fs::path(out) / "model.safetensors").string(), all,
                    named(tensors, {Naming::transformers, model.prefix}));
  write_text(fs::path(out) / "preprocessor_config.json", model.preprocessor);
  write_text(fs::path(out) / "config.json", model.config);
}

/// Of the model that is written; who wrote the file that was read, and its checksum, are not.
engine::Text metadata_for(const Weights& weights, const engine::Text& model) {
  engine::Text metadata = model;
  if (weights.ours()) metadata["step"] = std::to_string(weights.checkpoint().step);
  return metadata;
}

}  // namespace

LoadReport convert(Weights weights, const Config& config, WeightFormat format, const std::string& out,
                   Interpolation interpolation) {
  require_known(config, weights.path());
  weights.take_average();
  Collector collector(weights, config, format, interpolation);
  LoadReport report;
  engine::Text metadata;
  std::optional<ClassifierConfig> classifier;
  if (is_classifier(weights.checkpoint())) {
    classifier = classifier_config_of(weights.checkpoint(), weights.path());
    classifier->encoder = config;
    if (format == WeightFormat::timm && classifier->head == Head::probe)
      throw kernels::Error("timm's models have no batch norm before the head", weights.path(), "--format official");
    report = collector.collect(Classifier(*classifier, kernels::DType::f32).parameters());
    for (const char* state : {"head.0.running_mean", "head.0.running_var"}) collector.add_state(state);
    metadata = metadata_for(weights, classifier_metadata(*classifier));
  } else {
    report = collector.collect(Model(config, kernels::DType::f32).parameters());
    metadata = metadata_for(weights, config_metadata(config));
  }
  if (format != WeightFormat::transformers) write_official(out, collector.tensors(), metadata);
  else
    write_transformers(
        out, collector.tensors(), metadata,
        transformers_model(config, classifier ? &*classifier : nullptr, weights.has_decoder(), weights.path()));
  return report;
}

}  // namespace mae
