// ZIP files in memory, for the targets of .pth.
#pragma once

#include <zlib.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor_file.h"
#include "tests/fuzz/memory_file.h"

namespace fuzz {

struct NamedBytes {
  std::string_view name, bytes;
};

inline std::string little(std::size_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}
inline std::uint32_t crc_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Stored records, with nothing in their headers that a reader can do without.
inline std::string zip_of(const std::vector<NamedBytes>& records) {
  std::string file, directory;
  for (const auto& [name, bytes] : records) {
    const std::string size = little(bytes.size(), 4);
    const std::string common = little(20, 2) + std::string(8, '\0') + little(crc_of(bytes), 4) + size + size +
                               little(name.size(), 2) + little(0, 2);
    const std::string at = little(file.size(), 4);
    file.append("PK\3\4").append(common).append(name).append(bytes);
    directory.append("PK\1\2").append(little(20, 2)).append(common).append(10, '\0').append(at).append(name);
  }
  const std::string count = little(records.size(), 2);
  const std::string end =
      "PK\5\6" + little(0, 4) + count + count + little(directory.size(), 4) + little(file.size(), 4);
  return file + directory + end + little(0, 2);
}

inline void read_pth(std::string_view file) {
  const MemoryFile input(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  const auto opened = engine::open_tensor_file(input.path());
  std::vector<char> values;
  for (const engine::StoredTensor& tensor : opened->tensors()) {
    values.resize(tensor.bytes());
    opened->read(tensor, values.data());
  }
}

}  // namespace fuzz
