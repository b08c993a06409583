// Weights of anybody: a file of tensors, or a folder of Hugging Face's hub, seen under the official keys.
//
// What a model needs beside its tensors comes from the metadata (our own files), from config.json and
// preprocessor_config.json beside them (transformers), or from the shapes; what none of them says is the official
// recipe's value, and noted.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/tensor_file.h"
#include "mae/config.h"
#include "mae/weight_names.h"

namespace mae {

/// One tensor of the model: of a single tensor of the file, or of q, k and v, one below another.
struct WeightEntry {
  std::string key;  // official
  engine::StoredType type;
  std::vector<std::int64_t> shape;
  std::vector<const engine::StoredTensor*> parts;
};

/// The file of tensors that a path means: itself, or the one in a folder of Hugging Face's hub.
std::string tensors_at(const std::string& path);

class Weights {
 public:
  /// A safetensors file, a .pth file, or a folder with config.json and the weights beside it. Throws kernels::Error
  /// naming the file that cannot be read, or that has no encoder under any known names.
  explicit Weights(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const engine::TensorFile& file() const { return *file_; }
  const Names& names() const { return names_; }
  /// Whether this program wrote it, with its config.
  bool ours() const { return ours_; }

  /// Step and metadata of a checkpoint of ours; of others' weights the same metadata, as far as they can be known: a
  /// size of 0 is one that the file does not say, see require_known.
  const engine::Checkpoint& checkpoint() const { return checkpoint_; }
  /// "Hugging Face ViTMAE: encoder and decoder", and what was taken for granted, a sentence each.
  const std::string& description() const { return description_; }
  const std::vector<std::string>& notes() const { return notes_; }

  const std::vector<WeightEntry>& entries() const { return entries_; }
  /// Null where there is none.
  const WeightEntry* find(const std::string& key) const;
  bool has_decoder() const { return find("mask_token") != nullptr; }
  /// From now on the values are those of the average that a checkpoint of ours keeps (ema.*), where it keeps one.
  void take_average();

  /// Row-major, as they are stored.
  std::vector<std::byte> read(const WeightEntry& entry) const;
  std::vector<double> values(const WeightEntry& entry) const;

 private:
  void add_entry(const std::string& key);
  void refuse_unknown_parts() const;
  void describe();

  std::unique_ptr<engine::TensorFile> file_;
  Names names_;
  bool ours_ = false;
  std::vector<WeightEntry> entries_;
  engine::Checkpoint checkpoint_;
  std::string description_;
  std::vector<std::string> notes_;
};

/// Throws kernels::Error where a size of the config is 0: the file does not say it, and what to do.
void require_known(const Config& config, const std::string& path);

}  // namespace mae
