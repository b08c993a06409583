// TIFF files.
#include "mae/image.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::attempt([&] { mae::upright(mae::decode_image(fuzz::bytes_of(data, size), "input", size % 2 * 4)); });
}
