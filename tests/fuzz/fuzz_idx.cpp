// IDX files, plain and gzip, and every image in them.
#include "mae/dataset_formats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  return fuzz::attempt([&] {
    const mae::Dataset images = mae::open_idx(input.path());
    for (const std::int64_t i : {std::int64_t{0}, images.size / 2, images.size - 1}) images.image(i), images.label(i);
  });
}
