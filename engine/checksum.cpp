#include "engine/checksum.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "kernels/core/check.h"

namespace engine {
namespace {

constexpr std::string_view header_begin = R"({"__metadata__":{"crc32":")";
constexpr std::size_t prefix_bytes = 8, digits_at = prefix_bytes + header_begin.size(), digits = 8;
constexpr std::size_t piece_bytes = std::size_t{1} << 20;

uLong add(uLong crc, const void* data, std::size_t bytes) {
  return crc32_z(crc, static_cast<const Bytef*>(data), bytes);
}

bool has_checksum(std::string_view file) {
  return file.size() > digits_at + digits && file.substr(prefix_bytes).starts_with(header_begin);
}

}  // namespace

void put_checksum(std::string& begin, const std::vector<std::span<const std::byte>>& data) {
  if (!has_checksum(begin)) throw kernels::Error("the header has no place for a checksum", "safetensors");
  uLong crc = add(0, begin.data(), begin.size());
  for (const auto& part : data) crc = add(crc, part.data(), part.size());
  begin.replace(digits_at, digits, fmt::format("{:08x}", crc));
}

std::optional<bool> checksum_holds(const InputFile& file) {
  std::string piece(std::min<std::uint64_t>(file.size(), piece_bytes), '\0');
  file.read_at(0, piece.data(), piece.size());
  if (!has_checksum(piece)) return std::nullopt;
  const std::string stated = piece.substr(digits_at, digits);
  piece.replace(digits_at, digits, checksum_zeros);
  uLong crc = add(0, piece.data(), piece.size());
  for (std::uint64_t at = piece.size(); at < file.size(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(file.size() - at, piece_bytes));
    file.read_at(at, piece.data(), piece.size());
    crc = add(crc, piece.data(), piece.size());
  }
  return stated == fmt::format("{:08x}", crc);
}

}  // namespace engine
