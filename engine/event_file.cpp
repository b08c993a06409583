#include "engine/event_file.h"

#include <array>
#include <bit>

#include "kernels/core/check.h"

namespace engine {
namespace {

constexpr std::array<std::uint32_t, 256> castagnoli_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}

/// As TFRecord files have it: a CRC over bytes that hold CRCs would be weak.
std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8u; }

template <class Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

// ---- protobuf's wire format: a field is (number << 3 | type), then its value
enum Wire : std::uint32_t { varint_type = 0, fixed64_type = 1, bytes_type = 2, fixed32_type = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  return bytes += static_cast<char>(value);
}
std::string key(std::uint32_t field, Wire type) { return varint(field << 3 | type); }

std::string integer_field(std::uint32_t field, std::int64_t value) {
  return key(field, varint_type) + varint(static_cast<std::uint64_t>(value));
}
std::string bytes_field(std::uint32_t field, std::string_view value) {
  return key(field, bytes_type) + varint(value.size()) + std::string(value);
}
std::string double_field(std::uint32_t field, double value) {
  return key(field, fixed64_type) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(std::uint32_t field, double value) {
  return key(field, fixed32_type) + little_endian(std::bit_cast<std::uint32_t>(static_cast<float>(value)));
}

std::string record(std::string_view payload) {
  const std::string length = little_endian(std::uint64_t{payload.size()});
  return length + little_endian(masked(crc32c(length))) + std::string(payload) + little_endian(masked(crc32c(payload)));
}

std::string event(double wall_time, std::int64_t step, const std::string& what) {
  return record(double_field(1, wall_time) + integer_field(2, step) + what);
}

struct PngHeader {
  std::int64_t width = 0, height = 0, channels = 0;
};

/// Of a PNG's first chunk, which is always IHDR.
PngHeader png_header(std::string_view png) {
  constexpr std::string_view signature("\x89PNG\r\n\x1a\n", 8);
  constexpr std::size_t chunk_at = 12, width_at = 16, height_at = 20, type_at = 25, end = 33;
  if (png.size() < end || !png.starts_with(signature) || png.substr(chunk_at, 4) != "IHDR")
    throw kernels::Error("this is no PNG", "event file");
  const auto big_endian = [&](std::size_t at) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(png[at + i]);
    return value;
  };
  constexpr std::int64_t channels[] = {1, 0, 3, 3, 2, 0, 4};  // by colour type; 3 is a palette of RGB
  const auto type = static_cast<unsigned char>(png[type_at]);
  return {big_endian(width_at), big_endian(height_at), type < std::size(channels) ? channels[type] : 0};
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> table = castagnoli_table();
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  return ~crc;
}

std::string event_file_begin(double wall_time) {
  return event(wall_time, 0, bytes_field(3, "brain.Event:2")) +
         event(wall_time, 0, bytes_field(7, integer_field(1, 1)));
}

std::string scalars_event(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string values;
  for (const Scalar& s : scalars) values += bytes_field(1, bytes_field(1, s.tag) + float_field(2, s.value));
  return event(wall_time, step, bytes_field(5, values));
}

std::string image_event(double wall_time, std::int64_t step, const std::string& tag, std::string_view png) {
  const PngHeader header = png_header(png);
  const std::string image = integer_field(1, header.height) + integer_field(2, header.width) +
                            integer_field(3, header.channels) + bytes_field(4, png);
  return event(wall_time, step, bytes_field(5, bytes_field(1, bytes_field(1, tag) + bytes_field(4, image))));
}

}  // namespace engine
