#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/options.h"
#include "apps/table.h"
#include "engine/checkpoint.h"
#include "engine/checksum.h"
#include "engine/json.h"
#include "engine/tensor_file.h"
#include "mae/weights.h"

namespace apps {
namespace {

using engine::Json;
using engine::StoredTensor;

constexpr const char* parts[] = {"encoder", "decoder", "optimizer"};
enum Part { encoder, decoder, optimizer, part_count };

Part part_of(const StoredTensor& tensor) {
  if (tensor.name.starts_with("optimizer.")) return optimizer;
  const bool decodes =
      mae::is_decoder_key(tensor.name) || tensor.name.starts_with("decoder.") || tensor.name.starts_with("neck.");
  return decodes ? decoder : encoder;
}

struct Contents {
  std::int64_t values[part_count] = {}, tensors[part_count] = {};
  double bytes[part_count] = {};
};

Contents contents_of(const engine::TensorFile& file) {
  Contents sum;
  for (const StoredTensor& tensor : file.tensors()) {
    const Part part = part_of(tensor);
    sum.values[part] += tensor.count();
    sum.tensors[part] += 1;
    sum.bytes[part] += static_cast<double>(tensor.bytes());
  }
  return sum;
}

/// Tensors by part, then in the order of a model: numbers within names count as numbers.
std::vector<StoredTensor> in_order(std::vector<StoredTensor> tensors) {
  const auto key = [](const StoredTensor& tensor) {
    std::string padded;
    for (std::size_t i = 0; i < tensor.name.size();) {
      std::size_t end = i;
      while (end < tensor.name.size() && std::isdigit(static_cast<unsigned char>(tensor.name[end]))) ++end;
      if (end > i) padded += fmt::format("{:0>8}", tensor.name.substr(i, end - i));
      else padded += tensor.name[end++];
      i = end;
    }
    return std::pair(part_of(tensor), padded);
  };
  std::sort(tensors.begin(), tensors.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return tensors;
}

std::string shape_text(const StoredTensor& tensor) { return fmt::format("({})", fmt::join(tensor.shape, ", ")); }

std::string summary(const Contents& c) {
  const char* model = c.tensors[decoder] == 0   ? "encoder only"
                      : c.tensors[encoder] == 0 ? "decoder only"
                                                : "encoder and decoder";
  return fmt::format("{}, {}", model, c.tensors[optimizer] > 0 ? "with optimizer state" : "no optimizer state");
}

const char* text_of(std::optional<bool> checksum) {
  return !checksum ? "no checksum" : *checksum ? "checksum holds" : "DAMAGED: checksum does not hold";
}

/// What a model could be made of, and what would be taken for granted; nothing of other tensors.
void print_weights(const std::string& path) {
  try {
    const mae::Weights weights(path);
    if (weights.ours()) return;
    fmt::print("{}\n", weights.description());
    for (const std::string& note : weights.notes()) fmt::print("note: {}\n", note);
    fmt::print("\n");
  } catch (const kernels::Error& error) {
    fmt::print("no weights that mae can use: {}\n\n", error.fact());
  }
}

void print_text(const engine::TensorFile& file, std::optional<bool> checksum, bool with_tensors) {
  const Contents c = contents_of(file);
  fmt::print("{}: {} file, {}, {}\n", printable(file.path()), file.format(), summary(c), text_of(checksum));
  print_weights(file.path());
  std::vector<std::vector<std::string>> rows{{"part", "tensors", "values", "bytes"}};
  for (int part = 0; part < part_count; ++part)
    rows.push_back({parts[part], thousands(c.tensors[part]), thousands(c.values[part]), bytes_text(c.bytes[part])});
  fmt::print("{}", aligned(rows, "lrrr"));
  std::vector<std::vector<std::string>> metadata{{"metadata", ""}};
  for (const auto& [key, value] : file.metadata())
    metadata.push_back({key, shortened(value, 80)});  // --json has all of it
  if (metadata.size() > 1) fmt::print("\n{}", aligned(metadata, "ll"));
  if (!with_tensors) return;
  Part last = part_count;
  rows.clear();
  for (const StoredTensor& tensor : in_order(file.tensors())) {
    const Part part = part_of(tensor);
    if (part != last) rows.push_back({parts[part], "dtype", "shape", "bytes"});
    last = part;
    rows.push_back({"  " + tensor.name, name_of(tensor.type), shape_text(tensor),
                    thousands(static_cast<std::int64_t>(tensor.bytes()))});
  }
  fmt::print("\n{}", aligned(rows, "lllr"));
}

void print_json(const engine::TensorFile& file, std::optional<bool> checksum) {
  const Contents c = contents_of(file);
  Json metadata = Json::object({}), counts = Json::object({}), tensors = Json::array();
  for (const auto& [key, value] : file.metadata()) metadata.add(key, value);
  for (int part = 0; part < part_count; ++part) counts.add(parts[part], c.values[part]);
  for (const StoredTensor& tensor : in_order(file.tensors())) {
    tensors.add({}, Json::object({{"name", tensor.name},
                                  {"part", parts[part_of(tensor)]},
                                  {"dtype", name_of(tensor.type)},
                                  {"shape", tensor.shape},
                                  {"bytes", tensor.bytes()}}));
  }
  const Json all = Json::object({{"metadata", metadata},
                                 {"checksum_holds", checksum ? Json(*checksum) : Json()},
                                 {"values", counts},
                                 {"tensors", tensors}});
  std::puts(engine::to_text(all).c_str());
}

}  // namespace

int inspect(int argc, char** argv) {
  std::string path;
  bool json = false, tensors = true;
  OptionTable options("inspect", "what a checkpoint holds", "mae inspect RUN/checkpoints/FILE.safetensors");
  options.add("file", path, "a safetensors or PyTorch file").positional().shown_as("FILE").must_be_given();
  options.add("tensors", tensors, "the table of tensors");
  options.add("json", json, "one line of JSON instead of tables");
  if (!options.parse(argc, argv)) return done;
  path = mae::tensors_at(path);
  const auto file = engine::open_tensor_file(path);
  const std::optional<bool> checksum = engine::checksum_holds(engine::InputFile(path));
  json ? print_json(*file, checksum) : print_text(*file, checksum, tensors);
  if (!checksum.value_or(true)) engine::verify_checkpoint(path);  // which says so
  return done;
}

}  // namespace apps
