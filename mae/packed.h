// A packed data set: images that were decoded beforehand, in files that are mapped into memory. `mae pack` writes it.
//
//   DIR/index.json       one line, PackedIndex: {"crc32":"0123abcd","format":"mae.cu packed images",...; the digits are
//                        the CRC-32 of the file, these eight counted as zeros
//   DIR/images.table     a PackedEntry for each image, in the order of the samples
//   DIR/shard-00000.bin  and so on: pixels (height, width, channels), each image on a 64-byte bound, zeros between them
//
// All numbers are little-endian. The index holds the checksum of the table, the table those of the pixels. Opening
// compares the first two and the sizes of all files, and looks at every entry; the checksum of an image is compared
// whenever image() reads it, as `mae data` does, and not by view(), which training reads through.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"

namespace mae {

inline constexpr int packed_version = 1;
inline constexpr std::size_t packed_bound = 64;           // bytes
inline constexpr std::size_t most_packed_shards = 32768;  // a process may have 65,530 mappings, by Linux's default

struct PackedEntry {
  std::uint64_t offset = 0;  // bytes from the start of the shard
  std::uint32_t crc32 = 0;   // of the pixels
  std::int32_t label = -1;   // -1: none
  std::uint16_t height = 0, width = 0;
  std::uint16_t orientation = 1;  // as in Image
  std::uint16_t shard = 0;
};
static_assert(sizeof(PackedEntry) == 24);

struct PackedIndex {
  kernels::DType dtype = kernels::DType::u8;  // u8, u16 or f32
  int channels = 0;
  std::uint64_t images = 0;
  std::uint64_t fingerprint = 0;  // of the pixels, sizes and labels: it does not depend on how shards are cut
  std::uint32_t table_crc32 = 0;
  std::vector<std::uint64_t> shards;  // bytes of each
  std::vector<std::string> classes;
  // Where the images come from, for people.
  std::string source_format;
  std::uint64_t source_fingerprint = 0, left_out = 0;  // left_out: images that could not be read
  int size = 0;                                        // the shorter side is at most this; 0: as stored
};

std::string to_text(const PackedIndex& index);

/// The text of an index with its checksum put in; a text that has no place for one is handed back.
std::string with_checksum(std::string text);

/// Throws kernels::Error naming `where` for text that is damaged, that is no index, or that has another version.
PackedIndex parse_packed_index(const std::string& text, const std::string& where);

std::filesystem::path packed_index_path(const std::filesystem::path& folder);
std::filesystem::path packed_table_path(const std::filesystem::path& folder);
std::filesystem::path packed_shard_path(const std::filesystem::path& folder, std::size_t shard);

}  // namespace mae
