// A checksum over a whole safetensors file: header, metadata and data.
//
//     {"__metadata__":{"crc32":"0123abcd",...      the header begins so; the digits are the CRC-32 (zlib's) of all
//     bytes
//                                                  of the file, these eight counted as zeros
//
// A CRC-32 sees every change within 32 bits of each other, so every changed byte. A file whose header begins in
// another way has none: it is older, or another program wrote it anew from what it read.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/files.h"

namespace engine {

inline constexpr const char* checksum_key = "crc32";  // of the metadata
inline constexpr const char* checksum_zeros = "00000000";

/// `begin`: length and header of a file, with zeros for the checksum, which is put in; `data`: all that follows them.
void put_checksum(std::string& begin, const std::vector<std::span<const std::byte>>& data);

/// Reads the whole file, but one that has no checksum.
std::optional<bool> checksum_holds(const InputFile& file);

}  // namespace engine
