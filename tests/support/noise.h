// Random test data from Philox: the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/core/philox.h"

namespace support {

inline std::vector<std::byte> noise_bytes(std::size_t count, std::uint32_t sample) {
  const kernels::PhiloxKey key{.seed = 99, .purpose = static_cast<std::uint32_t>(kernels::Purpose::test)};
  std::vector<std::byte> bytes;
  bytes.reserve(count);
  for (std::uint32_t i = 0; bytes.size() < count; ++i) {
    bytes.push_back(
        static_cast<std::byte>(philox_word(i, {.block = 0, .subindex = 0, .sample = sample, .time = 0}, key)));
  }
  return bytes;
}

}  // namespace support
