// Header, data and checksum of a checkpoint, as verify_checkpoint reads them.
#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/checksum.h"
#include "engine/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  return fuzz::attempt([&] {
    const engine::SafetensorsFile file(input.path());
    engine::checksum_holds(file.file());
    std::vector<std::byte> bytes;
    for (const engine::TensorEntry& entry : file.header().tensors) {
      bytes.resize(entry.end - entry.begin);
      file.read(entry, bytes.data());
    }
  });
}

/// Every second change is one of the header alone, whose length is then put right: else few would get past it.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::uint64_t length = 0;
  if (size >= 8) std::memcpy(&length, data, 8);
  if (seed % 2 == 0 || size < 8 || length == 0 || length > size - 8) return LLVMFuzzerMutate(data, size, most);
  const std::vector<std::uint8_t> rest(data + 8 + length, data + size);
  length = LLVMFuzzerMutate(data + 8, length, most - 8 - rest.size());
  std::memcpy(data, &length, 8);
  std::copy(rest.begin(), rest.end(), data + 8 + length);
  return 8 + length + rest.size();
}
