// The same bytes as the index of packed images, with its checksum and with the right one, and as their table.
#include <fstream>

#include "mae/dataset_formats.h"
#include "mae/packed.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/folder.h"

namespace {

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

constexpr std::uint64_t shard_bytes[] = {4096, 64};

struct Shards {
  TestFolder folder;
  Shards() {
    for (std::size_t i = 0; i < std::size(shard_bytes); ++i)
      write(mae::packed_shard_path(folder.path(), i), std::string(shard_bytes[i], '\0'));
  }
};

/// The table as that of a folder with two shards of zeros, and every pixel in it.
void read_table(const std::string& table) {
  static const Shards shards;
  const std::string& folder = shards.folder.path();
  const mae::PackedIndex index{
      .channels = 1,
      .images = table.size() / sizeof(mae::PackedEntry),
      .table_crc32 = static_cast<std::uint32_t>(mae::checksum(std::as_bytes(std::span(table)))),
      .shards = {std::begin(shard_bytes), std::end(shard_bytes)},
      .classes = {"a", "b"}};
  write(mae::packed_index_path(folder), to_text(index));
  write(mae::packed_table_path(folder), table);
  const mae::Dataset data = mae::open_packed(folder, {.orientation = mae::Orientation::upright});
  for (std::int64_t i = 0; i < data.size; ++i) fuzz::attempt([&] { data.label(i), data.image(i); });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::attempt([&] { mae::parse_packed_index(text, "input"); });
  fuzz::attempt([&] { mae::parse_packed_index(mae::with_checksum(text), "input"); });
  return fuzz::attempt([&] { read_table(text); });
}
