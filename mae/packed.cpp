#include "mae/packed.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/mapped_file.h"
#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

using engine::Json;
using kernels::DType;
using kernels::Error;

constexpr const char* format_name = "mae.cu packed images";
constexpr const char* pack_again = "fetch it again, or pack the images again";
constexpr std::string_view crc_begin = R"({"crc32":")";
constexpr std::size_t crc_digits = 8;

std::uint64_t from_hex(const Json& json) {
  std::uint64_t value = 0;
  const std::string& text = json.as_string();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("the key " + json.key + " is no hexadecimal number");
  return value;
}

std::uint64_t count_of(const Json& json, std::int64_t least, std::int64_t most) {
  const std::int64_t value = json.as_int();
  if (value < least || value > most) throw Error("the key " + json.key + " is an impossible number");
  return static_cast<std::uint64_t>(value);
}

DType dtype_of(const std::string& name) {
  for (const DType dtype : {DType::u8, DType::u16, DType::f32}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw Error("images of type \"" + name + "\"; u8, u16 and f32 are read");
}

PackedIndex from_json(const Json& json) {
  PackedIndex index;
  index.dtype = dtype_of(json.at("dtype").as_string());
  index.channels = static_cast<int>(count_of(json.at("channels"), 1, max_channels));
  index.images = count_of(json.at("images"), 1, UINT32_MAX);
  index.fingerprint = from_hex(json.at("fingerprint"));
  index.table_crc32 = static_cast<std::uint32_t>(from_hex(json.at("table_crc32")));
  for (const Json& bytes : json.at("shards").as_array()) index.shards.push_back(count_of(bytes, 1, INT64_MAX));
  for (const Json& name : json.at("classes").as_array()) index.classes.push_back(name.as_string());
  index.size = static_cast<int>(count_of(json.at("size"), 0, INT32_MAX));
  index.left_out = count_of(json.at("left_out"), 0, UINT32_MAX);
  index.source_format = json.at("source").at("format").as_string();
  index.source_fingerprint = from_hex(json.at("source").at("fingerprint"));
  if (index.shards.size() > most_packed_shards) throw Error("too many shards");
  return index;
}

/// What is read from: the table and the shards, held as long as a copy of the data set is.
struct PackedFiles {
  PackedIndex index;
  fs::path folder;
  engine::MappedFile table;
  std::vector<engine::MappedFile> shards;

  const PackedEntry& entry(std::int64_t i) const {
    return reinterpret_cast<const PackedEntry*>(table.bytes().data())[i];
  }
  ImageView view(std::int64_t i) const {
    const PackedEntry& e = entry(i);
    return {e.height, e.width, index.channels, index.dtype, shards[e.shard].bytes().data() + e.offset};
  }
  Image image(std::int64_t i) const {
    Image image = copy_of(view(i));
    image.orientation = entry(i).orientation;
    if (checksum(image.pixels) != entry(i).crc32)
      throw Error(fmt::format("damaged: the pixels of sample {} do not match their checksum", i),
                  packed_shard_path(folder, entry(i).shard).string(), pack_again);
    return image;
  }
};

engine::MappedFile mapped(const fs::path& path, std::uint64_t bytes) {
  if (!fs::exists(path)) throw Error("is missing: the index names it", path.string(), pack_again);
  engine::MappedFile file(path.string());
  if (file.bytes().size() != bytes)
    throw Error(fmt::format("cut or damaged: {} bytes, and the index says {}", file.bytes().size(), bytes),
                path.string(), pack_again);
  return file;
}

/// Whether an entry names bytes that are there.
bool fits(const PackedEntry& e, const PackedIndex& index) {
  const bool sizes = e.height >= 1 && e.height <= max_side && e.width >= 1 && e.width <= max_side;
  const bool label = e.label >= -1 && e.label < std::ssize(index.classes);
  if (!sizes || !label || e.orientation < 1 || e.orientation > 8 || e.shard >= index.shards.size()) return false;
  const std::uint64_t bytes = ImageView{e.height, e.width, index.channels, index.dtype, nullptr}.bytes();
  const std::uint64_t shard = index.shards[e.shard];
  return e.offset % packed_bound == 0 && e.offset <= shard && bytes <= shard - e.offset;
}

PackedFiles open_files(const fs::path& folder) {
  const fs::path index_path = packed_index_path(folder), table_path = packed_table_path(folder);
  if (!fs::exists(index_path))
    throw Error("is missing: these shards are what a `mae pack` left that did not end", index_path.string(),
                "remove the folder and pack the images again");
  PackedIndex index = parse_packed_index(engine::read_file(index_path.string()), index_path.string());
  engine::MappedFile table = mapped(table_path, index.images * sizeof(PackedEntry));
  if (checksum(table.bytes()) != index.table_crc32)
    throw Error("damaged: it does not match its checksum in the index", table_path.string(), pack_again);
  PackedFiles packed{.index = std::move(index), .folder = folder, .table = std::move(table), .shards = {}};
  for (std::uint64_t i = 0; i < packed.index.images; ++i) {
    if (!fits(packed.entry(static_cast<std::int64_t>(i)), packed.index))
      throw Error(fmt::format("damaged: the entry of sample {} is impossible", i), table_path.string(), pack_again);
  }
  for (const std::uint64_t bytes : packed.index.shards)
    packed.shards.push_back(mapped(packed_shard_path(folder, packed.shards.size()), bytes));
  return packed;
}

}  // namespace

std::string to_text(const PackedIndex& index) {
  const Json source = Json::object(
      {{"format", index.source_format}, {"fingerprint", fmt::format("{:016x}", index.source_fingerprint)}});
  const Json json = Json::object({{"crc32", std::string(crc_digits, '0')},
                                  {"format", format_name},
                                  {"format_version", packed_version},
                                  {"dtype", name_of(index.dtype)},
                                  {"channels", index.channels},
                                  {"images", index.images},
                                  {"size", index.size},
                                  {"left_out", index.left_out},
                                  {"fingerprint", fmt::format("{:016x}", index.fingerprint)},
                                  {"source", source},
                                  {"classes", index.classes},
                                  {"table_crc32", fmt::format("{:08x}", index.table_crc32)},
                                  {"shards", index.shards}});
  return with_checksum(engine::to_text(json) + "\n");
}

std::string with_checksum(std::string text) {
  if (!text.starts_with(crc_begin) || text.size() < crc_begin.size() + crc_digits) return text;
  text.replace(crc_begin.size(), crc_digits, crc_digits, '0');
  return text.replace(crc_begin.size(), crc_digits, fmt::format("{:08x}", checksum(std::as_bytes(std::span(text)))));
}

PackedIndex parse_packed_index(const std::string& text, const std::string& where) {
  const Json json = engine::parse_json(text, where);
  const Json *format = json.find("format"), *version = json.find("format_version");
  if (!format || !version || format->text != format_name || version->kind != Json::Kind::integer)
    throw Error("is no index of packed images", where, "a folder that `mae pack` wrote");
  if (version->integer != packed_version)
    throw Error(fmt::format("packed images of version {}; this program reads {}", version->integer, packed_version),
                where, "a newer mae.cu, or pack the images again with this one");
  if (!text.starts_with(crc_begin) || with_checksum(text) != text)
    throw Error("damaged: the index does not match its own checksum", where, pack_again);
  try {
    return from_json(json);
  } catch (const Error& error) {
    throw Error("cannot be read: " + error.fact(), where, pack_again);
  }
}

fs::path packed_index_path(const fs::path& folder) { return folder / "index.json"; }
fs::path packed_table_path(const fs::path& folder) { return folder / "images.table"; }
fs::path packed_shard_path(const fs::path& folder, std::size_t shard) {
  return folder / fmt::format("shard-{:05}.bin", shard);
}

bool is_packed(const fs::path& folder) {
  return fs::exists(packed_table_path(folder)) || fs::exists(packed_shard_path(folder, 0));
}

Dataset open_packed(const fs::path& folder, const Reading& reading) {
  const auto held = std::make_shared<const PackedFiles>(open_files(folder));
  const PackedIndex& index = held->index;
  Dataset data;
  data.format = packed_format;
  data.size = static_cast<std::int64_t>(index.images);
  data.channels = index.channels;
  data.dtype = index.dtype;
  data.classes = index.classes;
  data.folder = folder.string();
  data.fingerprint = fingerprint(fingerprint(fingerprint_seed, data.format), index.fingerprint);

  bool one_size = true, turned = false;
  for (std::int64_t i = 0; i < data.size; ++i) {
    const PackedEntry &first = held->entry(0), &entry = held->entry(i);
    one_size = one_size && entry.height == first.height && entry.width == first.width;
    turned = turned || (reading.orientation == Orientation::upright && entry.orientation != 1);
  }
  if (one_size && !turned) {
    data.height = held->entry(0).height;
    data.width = held->entry(0).width;
  }
  if (turned) data.fingerprint = fingerprint(data.fingerprint, std::string_view("upright"));
  else data.view = [held](std::int64_t i) { return held->view(i); };
  data.image = [held, turned](std::int64_t i) { return turned ? upright(held->image(i)) : held->image(i); };
  data.label = [held](std::int64_t i) { return held->entry(i).label; };
  return data;
}

}  // namespace mae
