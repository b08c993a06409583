// Files of CIFAR records, and every image in them.
#include "mae/dataset_formats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  return fuzz::attempt([&] {
    const mae::Dataset images = mae::open_cifar({input.path()});
    for (std::int64_t i = 0; i < images.size; ++i) images.image(i), images.label(i);
  });
}
