#include "mae/weights.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "kernels/core/bf16.h"
#include "kernels/core/check.h"
#include "mae/classifier.h"
#include "mae/weights_config.h"

namespace mae {
namespace {

namespace fs = std::filesystem;
using engine::StoredTensor;
using engine::StoredType;

std::string sizes_text(const StoredTensor& t) { return fmt::format("({})", fmt::join(t.shape, ", ")); }

}  // namespace

std::string tensors_at(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  const fs::path folder = path;
  for (const char* name : {"model.safetensors", "pytorch_model.bin"})
    if (fs::exists(folder / name, ignored)) return (folder / name).string();
  const bool cut = fs::exists(folder / "model.safetensors.index.json", ignored);
  throw kernels::Error(cut ? "its weights are cut into several files, which are not read here"
                           : "this folder has neither model.safetensors nor pytorch_model.bin",
                       path, cut ? "save_pretrained with a max_shard_size that makes one" : "a file of weights");
}

namespace {

double from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return mantissa ? std::nan("") : sign * HUGE_VAL;
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

template <class T, class F>
std::vector<double> converted(const std::vector<std::byte>& bytes, F&& value_of) {
  std::vector<double> values(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = value_of(stored);
  }
  return values;
}

}  // namespace

Weights::Weights(const std::string& path) : file_(engine::open_tensor_file(tensors_at(path))) {
  const auto has = [&](const std::string& name) { return file_->find(name) != nullptr; };
  const auto found = find_names(has);
  if (!found)
    throw kernels::Error("has no encoder of a Masked Autoencoder or ViT under any names that are known here", path,
                         "`mae inspect` lists its tensors; official, timm, transformers and mmpretrain names are read");
  names_ = *found;
  const auto blocks = [&](const std::string& list) {
    int n = 0;
    while (n < 1024 && has(names_of(fmt::format("{}.{}.norm1.weight", list, n), names_).front())) ++n;
    return n;
  };
  for (const std::string& key : official_keys(blocks("blocks"), blocks("decoder_blocks")))
    if (names_.naming != Naming::mmpretrain || !is_classifier_key(key)) add_entry(key);  // its heads have other shapes
  for (const auto& [key, value] : file_->metadata()) checkpoint_.metadata[key] = value;
  ours_ = checkpoint_.metadata.contains("format") && checkpoint_.metadata["format"] == "mae.cu";
  if (!ours_) refuse_unknown_parts();
  if (ours_) checkpoint_ = engine::read_checkpoint(this->path());
  else add_config(*this, checkpoint_.metadata, notes_);
  describe();
}

void Weights::add_entry(const std::string& key) {
  WeightEntry entry{.key = key, .type = StoredType::f32, .shape = {}, .parts = {}};
  for (const std::string& name : names_of(key, names_)) {
    const StoredTensor* part = file_->find(name);
    if (!part) return;
    if (!entry.parts.empty() &&
        (part->type != entry.type || part->shape != entry.parts[0]->shape || part->shape.empty()))
      throw kernels::Error(
          fmt::format("{} is {} {}, and {} is {} {}: they are no q, k and v of one layer", name, name_of(part->type),
                      sizes_text(*part), entry.parts[0]->name, name_of(entry.type), sizes_text(*entry.parts[0])),
          path());
    entry.type = part->type;
    entry.parts.push_back(part);
  }
  if (!engine::is_floating(entry.type))
    throw kernels::Error(fmt::format("{} is {}, no floating-point type", entry.parts[0]->name, name_of(entry.type)),
                         path());
  entry.shape = entry.parts[0]->shape;
  if (entry.parts.size() > 1 &&
      __builtin_mul_overflow(entry.shape[0], static_cast<std::int64_t>(entry.parts.size()), &entry.shape[0]))
    throw kernels::Error(entry.parts[0]->name + " is too large", path());
  entries_.push_back(std::move(entry));
}

/// What no entry is, and yet would change what a block or the head computes: scales of layers, norms of q and k, biases
/// of positions, registers.
void Weights::refuse_unknown_parts() const {
  std::set<std::string> known;
  for (const WeightEntry& entry : entries_)
    for (const StoredTensor* part : entry.parts) known.insert(part->name);
  const std::string first = names_of("blocks.0.norm1.weight", names_).front();
  const std::string blocks = first.substr(0, first.find("0."));
  for (const StoredTensor& tensor : file_->tensors()) {
    const auto begins = [&](const char* text) { return tensor.name.starts_with(text); };
    const bool changes = begins(blocks.c_str()) || begins("reg_token") || begins("dist_token") || begins("norm_pre.") ||
                         begins("pre_logits.") || begins("rel_pos");
    if (changes && !known.contains(tensor.name))
      throw kernels::Error(tensor.name + " changes what the model computes, and no model here has it", path(),
                           "weights of a plain ViT or Masked Autoencoder");
  }
}

void Weights::take_average() {
  if (!ours_) return;
  for (WeightEntry& entry : entries_) {
    const StoredTensor* average = file_->find("ema." + entry.key);
    if (!average) continue;
    if (average->type != entry.type || average->shape != entry.shape)
      throw kernels::Error(average->name + " has another shape or type than " + entry.key, path());
    entry.parts = {average};
  }
}

const WeightEntry* Weights::find(const std::string& key) const {
  for (const WeightEntry& entry : entries_)
    if (entry.key == key) return &entry;
  return nullptr;
}

std::vector<std::byte> Weights::read(const WeightEntry& entry) const {
  std::vector<std::byte> bytes(entry.parts.size() * entry.parts[0]->bytes());
  std::size_t at = 0;
  for (const StoredTensor* part : entry.parts) {
    file_->read(*part, bytes.data() + at);
    at += part->bytes();
  }
  return bytes;
}

std::vector<double> Weights::values(const WeightEntry& entry) const {
  const std::vector<std::byte> bytes = read(entry);
  const auto same = [](auto v) { return static_cast<double>(v); };
  if (entry.type == StoredType::f16) return converted<std::uint16_t>(bytes, from_half);
  if (entry.type == StoredType::bf16)
    return converted<kernels::bf16>(bytes, [](kernels::bf16 v) { return static_cast<double>(static_cast<float>(v)); });
  return entry.type == StoredType::f64 ? converted<double>(bytes, same) : converted<float>(bytes, same);
}

void Weights::describe() {
  const char* names = names_.naming == Naming::official     ? "official names"
                      : names_.naming == Naming::mmpretrain ? "names of mmpretrain"
                                                            : "names of Hugging Face's transformers";
  const char* parts = is_classifier(checkpoint_) ? "encoder and classifier"
                      : has_decoder()            ? "encoder and decoder"
                                                 : "encoder without decoder";
  description_ = fmt::format("{} file, {}: {}", file_->format(), ours_ ? "written by mae.cu" : names, parts);
}

void require_known(const Config& c, const std::string& path) {
  const auto require = [&](bool known, const char* what, const char* advice) {
    if (!known) throw kernels::Error(fmt::format("the file does not say {}", what), path, advice);
  };
  require(c.heads > 0, "how many attention heads its encoder has",
          "`mae convert IN OUT --heads N` writes a file that does");
  require(c.decoder_heads > 0, "how many attention heads its decoder has",
          "`mae convert IN OUT --decoder-heads N` writes a file that does");
  require(c.image_height > 0, "which image size its positions are for; they are no square",
          "`mae convert IN OUT --image-size HEIGHT,WIDTH` writes a file that does");
}

}  // namespace mae
