// PNG files. A change is made inside one chunk, whose length and checksum are then put right: else all but none would
// get past the check of them, and the decoder behind it would go untested.
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "mae/image.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::attempt([&] { mae::decode_image(fuzz::bytes_of(data, size), "input", size % 2 == 0 ? 3 : 0); });
}

namespace {

constexpr std::size_t signature = 8, frame = 12;  // a chunk's length, type and checksum

std::size_t big_endian(const std::uint8_t* p) {
  return std::size_t{p[0]} << 24 | std::size_t{p[1]} << 16 | std::size_t{p[2]} << 8 | p[3];
}
void put_big_endian(std::uint8_t* p, std::size_t value) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

/// Where the chunks begin that are whole.
std::vector<std::size_t> chunks(const std::uint8_t* data, std::size_t size) {
  std::vector<std::size_t> found;
  for (std::size_t at = signature; at + frame <= size; at += frame + big_endian(data + at)) {
    if (big_endian(data + at) > size - at - frame) break;
    found.push_back(at);
  }
  return found;
}

}  // namespace

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::vector<std::size_t> found = chunks(data, size);
  if (seed % 8 == 0 || found.empty()) return LLVMFuzzerMutate(data, size, most);
  std::uint8_t* chunk = data + found[seed / 8 % found.size()];
  const std::size_t length = big_endian(chunk);
  const std::vector<std::uint8_t> rest(chunk + frame + length, data + size);
  const auto others = static_cast<std::size_t>(chunk - data) + frame + rest.size();
  const std::size_t room = most - others;  // type and content are what changes
  const std::size_t changed = std::max(LLVMFuzzerMutate(chunk + 4, 4 + length, 4 + room), std::size_t{4}) - 4;
  put_big_endian(chunk, changed);
  put_big_endian(chunk + 8 + changed, crc32(0, chunk + 4, static_cast<uInt>(4 + changed)));
  std::copy(rest.begin(), rest.end(), chunk + frame + changed);
  return others + changed;
}
