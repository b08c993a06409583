#include "mae/exif.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace mae {
namespace {

constexpr std::array<std::uint8_t, 6> signature{'E', 'x', 'i', 'f', 0, 0};
constexpr std::size_t entry_bytes = 12;
constexpr std::uint32_t orientation_tag = 0x0112, type_short = 3, tiff_version = 42;

/// Whole numbers at offsets of a TIFF file; nothing where they would lie outside of it.
struct Tiff {
  std::span<const std::byte> bytes;
  bool big_endian = false;

  std::optional<std::uint32_t> number(std::size_t at, std::size_t size) const {
    if (at > bytes.size() || bytes.size() - at < size) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + (big_endian ? i : size - 1 - i)]);
    return value;
  }
};

}  // namespace

bool is_exif(std::span<const std::byte> app1) {
  return app1.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), app1.begin(),
                    [](std::uint8_t a, std::byte b) { return a == std::to_integer<std::uint8_t>(b); });
}

int exif_orientation(std::span<const std::byte> app1) {
  constexpr int as_it_is = 1;
  if (!is_exif(app1)) return as_it_is;
  Tiff tiff{.bytes = app1.subspan(signature.size())};
  const auto order = tiff.number(0, 2);
  if (order != 0x4949u && order != 0x4d4du) return as_it_is;  // "II", "MM"
  tiff.big_endian = order == 0x4d4du;
  const auto directory = tiff.number(4, 4);
  if (tiff.number(2, 2) != tiff_version || !directory) return as_it_is;
  const auto entries = tiff.number(*directory, 2);
  for (std::uint32_t i = 0; i < entries.value_or(0); ++i) {
    const std::size_t at = std::size_t{*directory} + 2 + i * entry_bytes;
    const auto tag = tiff.number(at, 2);
    if (!tag) return as_it_is;
    if (tag != orientation_tag) continue;
    const auto value = tiff.number(at + 8, 2);
    const bool known = tiff.number(at + 2, 2) == type_short && tiff.number(at + 4, 4) == 1u && value;
    return known && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : as_it_is;
  }
  return as_it_is;
}

}  // namespace mae
