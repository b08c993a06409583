// What every fuzz target shares. An input is decoded, or refused with a kernels::Error: any other exception, a crash, a
// leak, memory beyond libFuzzer's limits, or more than a second of processor time ends the fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>

#include "kernels/core/check.h"

namespace fuzz {

/// Of the processor, not of the clock: a machine that is busy with other work finds nothing.
inline double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Runs one input. The result is that of LLVMFuzzerTestOneInput.
template <class F>
int attempt(F&& decode) {
  const double begin = processor_seconds();
  try {
    decode();
  } catch (const kernels::Error&) {  // refused, as it should be
  }
  if (const double seconds = processor_seconds() - begin; seconds > 1) {
    std::fprintf(stderr, "this input took %.1f s\n", seconds);
    std::abort();
  }
  return 0;
}

inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// Of libFuzzer: one random change within `most` bytes; returns the new size.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
