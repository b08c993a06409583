// How an operand of wgmma lies in shared memory (PTX ISA, "Matrix descriptor format" and "Canonical layouts"), where
// rows of it are 64 bf16, 128 bytes, as a bulk copy with a swizzle of 128 bytes brings them: which of its row's eight
// 16 bytes an element lies in depends on the row, so that the same columns of 8 rows lie in all 32 banks.
//
// With i a row of a, or a column of b, an element is, before the swizzle, at
//     k across   start + i / 8 * stride + i % 8 * 128 + k * 2                              operands stored [i][k]
//     k down     start + i / 64 * leading + i % 64 * 2 + k / 8 * stride + k % 8 * 128      operands stored [k][i]
// Tiles start at multiples of 1024 bytes; where k is across, a descriptor may begin at a later k of a tile, 2 bytes
// each.
#pragma once

#include "kernels/core/bf16.h"

namespace kernels {

constexpr unsigned swizzle_bytes = 128, swizzle_tile = 1024;  // a row, and the 8 rows after which the pattern repeats

/// Where a byte of the plain layout lies.
MAE_HOST_DEVICE constexpr unsigned swizzled(unsigned byte) { return byte ^ (byte >> 3 & 0x70u); }

struct MatrixDescriptor {
  unsigned long long bits;

  /// The same tile from `bytes` further on. The sum of both addresses stays below 256 KiB.
  MAE_HOST_DEVICE MatrixDescriptor operator+(unsigned bytes) const { return {bits + (bytes >> 4)}; }
};

/// All in bytes, multiples of 16. `leading` means nothing where k is across.
MAE_HOST_DEVICE inline MatrixDescriptor describe_swizzled(unsigned start, unsigned leading, unsigned stride) {
  constexpr unsigned long long swizzle_of_128_bytes = 1ull << 62;
  const auto field = [](unsigned bytes) { return static_cast<unsigned long long>(bytes >> 4 & 0x3fffu); };
  return {field(start) | field(leading) << 16 | field(stride) << 32 | swizzle_of_128_bytes};
}

}  // namespace kernels
