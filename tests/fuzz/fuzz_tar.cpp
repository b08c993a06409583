// Tar shards, plain and gzip, with every image and label in them. A change is made inside the header of a member, whose
// checksum is then put right, or anywhere.
#include <algorithm>
#include <cstdio>

#include "mae/dataset_formats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  return fuzz::attempt([&] {
    const mae::Dataset shard = mae::open_shards({input.path()}, {});
    for (std::int64_t i = 0; i < shard.size; ++i) {
      shard.label(i);
      try {
        shard.image(i);
      } catch (const kernels::Error&) {  // one of many
      }
    }
  });
}

namespace {

constexpr std::size_t block = 512, sum_at = 148, sum_bytes = 8;

void put_checksum_right(std::uint8_t* header) {
  std::fill_n(header + sum_at, sum_bytes, ' ');
  unsigned sum = 0;
  for (std::size_t i = 0; i < block; ++i) sum += header[i];
  std::snprintf(reinterpret_cast<char*>(header + sum_at), sum_bytes, "%06o", sum);
}

}  // namespace

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::size_t blocks = size / block;
  if (seed % 4 == 0 || blocks == 0) return LLVMFuzzerMutate(data, size, most);
  std::uint8_t* header = data + seed / 4 % blocks * block;
  LLVMFuzzerMutate(header, block, block);
  put_checksum_right(header);
  return size;
}
