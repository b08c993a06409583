// .npy arrays.
#include "mae/image_codecs.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::attempt([&] { mae::decode_npy(fuzz::bytes_of(data, size), "input"); });
}
