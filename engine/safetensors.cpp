#include "engine/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <span>
#include <tuple>

#include "engine/checksum.h"
#include "engine/json.h"

namespace engine {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors data are little-endian and are copied as they are");

constexpr std::uint64_t prefix_bytes = 8, max_header_bytes = 100'000'000;
constexpr std::size_t max_rank = 8;
constexpr const char* metadata_key = "__metadata__";
constexpr const char* advice_damaged = "the file is damaged or was not written by a safetensors writer: copy it again";

constexpr const char* file_names[] = {"F64", "F32", "BF16", "I32", "U32", "U16", "U8",
                                      "F16", "I64", "U64",  "I16", "I8",  "BOOL"};  // in the order of StoredType
constexpr const char* other_dtypes[] = {"C64",         "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ",
                                        "F8_E4M3FNUZ", "F4",      "F6_E2M3", "F6_E3M2"};

const char* file_name_of(StoredType t) { return file_names[static_cast<int>(t)]; }

/// One tensor's (or the whole header's) place in error messages.
struct Place {
  std::string file, tensor;

  [[noreturn]] void refuse(const std::string& what, const std::string& advice = advice_damaged) const {
    throw kernels::Error(what, tensor.empty() ? file : fmt::format("{}: tensor '{}'", file, tensor), advice);
  }
};

StoredType type_of_entry(const Json& entry, const Place& place) {
  const Json* field = entry.find("dtype");
  if (field == nullptr || field->kind != Json::Kind::string) place.refuse("has no string 'dtype'");
  const auto* known = std::find(std::begin(file_names), std::end(file_names), field->text);
  if (known != std::end(file_names)) return static_cast<StoredType>(known - std::begin(file_names));
  if (std::find(std::begin(other_dtypes), std::end(other_dtypes), field->text) != std::end(other_dtypes))
    place.refuse(fmt::format("has dtype {}, which is not supported here", field->text),
                 fmt::format("convert it to one of {}", fmt::join(file_names, ", ")));
  place.refuse(fmt::format("has dtype '{}', which safetensors does not have", field->text.substr(0, 40)));
}

std::vector<std::int64_t> integers(const Json& entry, const char* key, const Place& place) {
  const Json* field = entry.find(key);
  if (field == nullptr || field->kind != Json::Kind::array) place.refuse(fmt::format("has no list '{}'", key));
  std::vector<std::int64_t> values;
  for (const Json& item : field->items) {
    if (item.kind != Json::Kind::integer || item.integer < 0)
      place.refuse(fmt::format("has a value in '{}' that is no integer from 0 to 2^63 - 1", key));
    values.push_back(item.integer);
  }
  return values;
}

std::uint64_t bytes_of(StoredType type, const std::vector<std::int64_t>& shape, const Place& place) {
  if (shape.size() > max_rank)
    place.refuse(fmt::format("has {} dimensions, at most {} are supported", shape.size(), max_rank), {});
  auto bytes = static_cast<std::int64_t>(size_of(type));
  for (const std::int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes))
      place.refuse(fmt::format("shape ({}) has a negative size or overflows 64 bits", fmt::join(shape, ", ")));
  return static_cast<std::uint64_t>(bytes);
}

TensorEntry parse_entry(const Json& json, const std::string& file) {
  const Place place{file, json.key};
  if (json.kind != Json::Kind::object) place.refuse("is described by something else than a JSON object");
  TensorEntry entry{.name = json.key, .type = type_of_entry(json, place), .shape = integers(json, "shape", place)};
  const std::vector<std::int64_t> offsets = integers(json, "data_offsets", place);
  if (offsets.size() != 2) place.refuse(fmt::format("has {} data_offsets instead of 2", offsets.size()));
  if (json.items.size() != 3) place.refuse("has a field that is none of dtype, shape, data_offsets");

  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  if (entry.end < entry.begin)
    place.refuse(fmt::format("ends at byte {}, before its begin {}", entry.end, entry.begin));
  const std::uint64_t bytes = bytes_of(entry.type, entry.shape, place);
  if (entry.end - entry.begin != bytes)
    place.refuse(fmt::format("{} ({}) needs {} bytes, its data_offsets span {}", file_name_of(entry.type),
                             fmt::join(entry.shape, ", "), bytes, entry.end - entry.begin));
  return entry;
}

Metadata parse_metadata(const Json& json, const std::string& file) {
  if (json.kind != Json::Kind::object) Place{file}.refuse("__metadata__ is not a JSON object");
  Metadata metadata;
  for (const Json& member : json.items) {
    if (member.kind != Json::Kind::string)
      Place{file}.refuse(fmt::format("__metadata__ '{}' is not a string", member.key));
    metadata.emplace_back(member.key, member.text);
  }
  return metadata;
}

/// Every byte of the data belongs to one tensor.
void check_layout(std::vector<TensorEntry>& tensors, std::uint64_t data_bytes, const std::string& file) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  std::uint64_t previous = 0;
  for (const TensorEntry& t : tensors) {
    const Place place{file, t.name};
    if (t.begin > previous)
      place.refuse(fmt::format("begins at byte {}, which leaves a hole after {}", t.begin, previous));
    if (t.begin < previous)
      place.refuse(fmt::format("begins at byte {} and overlaps the tensor that ends at {}", t.begin, previous));
    previous = t.end;
  }
  if (previous > data_bytes)
    Place{file}.refuse(
        fmt::format("is cut short: the tensors need {} bytes of data, the file has {}", previous, data_bytes));
  if (previous < data_bytes)
    Place{file}.refuse(fmt::format("has {} bytes after the last tensor", data_bytes - previous));
}

/// file_bytes: of the whole file. Also checks what write_safetensors is about to write.
SafetensorsHeader parse_header(std::string_view text, std::uint64_t file_bytes, const std::string& file) {
  if (text.empty() || text[0] != '{') Place{file}.refuse("the header does not begin with '{'");
  SafetensorsHeader header;
  header.data_offset = prefix_bytes + text.size();
  const Json json = parse_json(text, file);
  for (const Json& member : json.items) {
    if (member.key == metadata_key) header.metadata = parse_metadata(member, file);
    else header.tensors.push_back(parse_entry(member, file));
  }
  check_layout(header.tensors, file_bytes - header.data_offset, file);
  return header;
}

std::string header_text(const Metadata& metadata, const std::vector<TensorEntry>& entries) {
  Json json = Json::object();
  if (!metadata.empty()) {
    Json strings = Json::object();
    for (const auto& [key, value] : metadata) strings.add(key, value);
    json.add(metadata_key, strings);
  }
  for (const TensorEntry& e : entries)
    json.add(e.name, Json::object({{"dtype", file_name_of(e.type)},
                                   {"shape", e.shape},
                                   {"data_offsets", Json::array({e.begin, e.end})}}));
  std::string text = to_text(json);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void check_header_bytes(std::uint64_t bytes, const std::string& file) {
  if (bytes > max_header_bytes)
    Place{file}.refuse(fmt::format("the header says it has {} bytes, at most {} are allowed", bytes, max_header_bytes));
}

}  // namespace

SafetensorsHeader read_header(const InputFile& file) {
  const Place place{file.path()};
  if (file.size() < prefix_bytes) place.refuse(fmt::format("{} bytes are too few for a safetensors file", file.size()));
  std::uint64_t bytes = 0;
  file.read_at(0, &bytes, prefix_bytes);
  check_header_bytes(bytes, file.path());
  if (bytes > file.size() - prefix_bytes)
    place.refuse(fmt::format("is cut short: the header has {} bytes, the file {}", bytes, file.size()));
  std::string text(bytes, '\0');
  file.read_at(prefix_bytes, text.data(), bytes);
  return parse_header(text, file.size(), file.path());
}

SafetensorsHeader read_header(const std::string& path) { return read_header(InputFile(path)); }

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  for (const TensorEntry& t : header_.tensors)
    if (t.name == name) return &t;
  return nullptr;
}

void SafetensorsFile::read(const TensorEntry& entry, void* destination) const {
  file_.read_at(header_.data_offset + entry.begin, destination, entry.end - entry.begin);
}

const TensorEntry& SafetensorsFile::at(std::string_view name, kernels::DType dtype,
                                       const std::vector<std::int64_t>& shape) const {
  const Place place{path(), std::string(name)};
  const TensorEntry* entry = find(name);
  if (entry == nullptr) place.refuse("is not in the file", "list what it holds with `mae inspect`");
  if (entry->type != stored_as(dtype) || entry->shape != shape)
    place.refuse(fmt::format("is {} ({}), wanted {} ({})", file_name_of(entry->type), fmt::join(entry->shape, ", "),
                             file_name_of(stored_as(dtype)), fmt::join(shape, ", ")),
                 "the file belongs to another model or configuration");
  return *entry;
}

void SafetensorsFile::read(std::string_view name, kernels::DType dtype, const std::vector<std::int64_t>& shape,
                           void* destination) const {
  read(at(name, dtype, shape), destination);
}

void write_safetensors(const std::string& path, const Metadata& metadata, const std::vector<TensorToWrite>& tensors,
                       Checksum checksum) {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const std::size_t size_a = engine::size_of(a->type), size_b = engine::size_of(b->type);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });

  std::vector<TensorEntry> entries;
  std::vector<std::span<const std::byte>> data;
  std::uint64_t end = 0;
  for (const TensorToWrite* t : order) {
    const Place place{path, t->name};
    const std::uint64_t bytes = bytes_of(t->type, t->shape, place);
    if (bytes > 0 && t->data == nullptr) place.refuse("has no data to write", {});
    if (t->name == metadata_key) place.refuse("has a name that safetensors keeps for itself", {});
    entries.push_back({.name = t->name, .type = t->type, .shape = t->shape, .begin = end, .end = end + bytes});
    data.emplace_back(static_cast<const std::byte*>(t->data), bytes);
    end += bytes;
  }
  Metadata all = metadata;
  if (checksum == Checksum::crc32) all.emplace(all.begin(), checksum_key, checksum_zeros);
  const std::string text = header_text(all, entries);
  const std::uint64_t text_bytes = text.size(), file_bytes = prefix_bytes + text_bytes + end;
  check_header_bytes(text_bytes, path);
  parse_header(text, file_bytes, path);

  std::string begin(reinterpret_cast<const char*>(&text_bytes), prefix_bytes);
  begin += text;
  if (checksum == Checksum::crc32) put_checksum(begin, data);
  write_atomically(
      path,
      [&](FileWriter& writer) {
        writer.write(begin);
        for (const auto& part : data) writer.write(part.data(), part.size());
      },
      file_bytes);
}

}  // namespace engine
