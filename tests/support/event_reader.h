// A tiny reader of event files, for tests of those that we write; it knows no more of protobuf than they hold.
#pragma once

#include <bit>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/event_file.h"
#include "tests/support/catch.h"

namespace test {

struct Field {
  std::uint64_t number = 0, value = 0;  // of varints and fixed ones, their bits
  std::string_view bytes;
};

inline std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    REQUIRE((!bytes.empty() && shift < 64));
    const auto byte = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
}

inline std::uint64_t take_fixed(std::string_view& bytes, std::size_t size) {
  REQUIRE(bytes.size() >= size);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  bytes.remove_prefix(size);
  return value;
}

inline std::vector<Field> fields_of(std::string_view bytes) {
  std::vector<Field> fields;
  while (!bytes.empty()) {
    const std::uint64_t key = take_varint(bytes), type = key & 7;
    Field field{.number = key >> 3};
    if (type == 0) field.value = take_varint(bytes);
    else if (type == 1) field.value = take_fixed(bytes, 8);
    else if (type == 5) field.value = take_fixed(bytes, 4);
    else {
      REQUIRE(type == 2);
      const std::uint64_t size = take_varint(bytes);
      REQUIRE(size <= bytes.size());
      field.bytes = bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
    fields.push_back(field);
  }
  return fields;
}

struct ReadEvent {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string version;
  bool session_start = false;
  std::vector<std::pair<std::string, float>> scalars;
  std::int64_t height = 0, width = 0, channels = 0;  // of an image
  std::string png;
};

inline void read_value(std::string_view bytes, ReadEvent& event) {
  std::string tag;
  for (const Field& f : fields_of(bytes)) {
    if (f.number == 1) tag = f.bytes;
    if (f.number == 2) event.scalars.emplace_back(tag, std::bit_cast<float>(static_cast<std::uint32_t>(f.value)));
    if (f.number != 4) continue;
    for (const Field& part : fields_of(f.bytes)) {
      const auto value = static_cast<std::int64_t>(part.value);
      if (part.number == 1) event.height = value;
      if (part.number == 2) event.width = value;
      if (part.number == 3) event.channels = value;
      if (part.number == 4) event.png = part.bytes;
    }
  }
}

/// All events of a file; every checksum must hold, and nothing may be left over.
inline std::vector<ReadEvent> read_events(std::string_view file) {
  const auto check_sum = [&](std::string_view of) {
    const std::uint32_t crc = engine::crc32c(of);
    CHECK(take_fixed(file, 4) == std::uint32_t{(crc >> 15 | crc << 17) + 0xa282ead8u});
  };
  std::vector<ReadEvent> events;
  while (!file.empty()) {
    const std::string_view length = file.substr(0, 8);
    const std::uint64_t size = take_fixed(file, 8);
    check_sum(length);
    REQUIRE(size <= file.size());
    const std::string_view payload = file.substr(0, size);
    file.remove_prefix(size);
    check_sum(payload);
    ReadEvent event;
    for (const Field& f : fields_of(payload)) {
      if (f.number == 1) event.wall_time = std::bit_cast<double>(f.value);
      if (f.number == 2) event.step = static_cast<std::int64_t>(f.value);
      if (f.number == 3) event.version = f.bytes;
      if (f.number == 7) event.session_start = fields_of(f.bytes).at(0).value == 1;
      if (f.number != 5) continue;
      for (const Field& value : fields_of(f.bytes)) read_value(value.bytes, event);
    }
    events.push_back(event);
  }
  return events;
}

/// tag -> its points, in the order of the file.
using Points = std::map<std::string, std::vector<std::pair<std::int64_t, float>>>;
inline Points points_of(const std::vector<ReadEvent>& events) {
  Points points;
  for (const ReadEvent& event : events)
    for (const auto& [tag, value] : event.scalars) points[tag].emplace_back(event.step, value);
  return points;
}

}  // namespace test
