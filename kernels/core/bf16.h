// bfloat16: the upper half of an IEEE binary32. Conversion rounds to nearest even and keeps NaN a NaN.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define MAE_HOST_DEVICE __host__ __device__
#else
#define MAE_HOST_DEVICE
#endif

namespace kernels {

struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  MAE_HOST_DEVICE explicit bf16(float value) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));  // the same, but that every NaN becomes 0x7fff
#else
    std::uint32_t word;
    memcpy(&word, &value, 4);
    if ((word & 0x7fffffffu) > 0x7f800000u) {  // NaN: keep sign and payload top, set the quiet bit
      bits = static_cast<std::uint16_t>((word >> 16) | 0x40u);
    } else {  // adding 0x7fff, plus 1 when the kept part is odd, rounds ties to even
      bits = static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
    }
#endif
  }
  // A double is narrowed once to f32 first; the double rounding is part of the definition, on every device.
  MAE_HOST_DEVICE explicit bf16(double value) : bf16(static_cast<float>(value)) {}

  MAE_HOST_DEVICE operator float() const {
    const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &word, 4);
    return value;
  }
};

}  // namespace kernels
