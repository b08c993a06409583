// What a lane holds of the operands of a tensor core's product, mma.m16n8k16:  C (16, 8) += A (16, 16) B (16, 8), with
// A and B in bf16 and C in f32. The layouts are those of the PTX ISA ("Matrix fragments for mma.m16n8k16"); with g =
// lane / 4 and t = lane % 4 a lane holds
//     A   at[r]: row g + 8 (r % 2), columns 2 t + 8 (r / 2) and the next one
//     B   at[r]: rows 2 t + 8 r and the next one, column g
//     C   at[i]: row g + 8 (i / 2), column 2 t + i % 2
// A word is two bf16, the lower half the element that comes first.
#pragma once

#include "kernels/core/bf16.h"

namespace kernels {

struct FragmentA {
  unsigned at[4];
};
struct FragmentB {
  unsigned at[2];
};
struct FragmentC {
  float at[4];
};

/// The sums of wgmma.m64n128k16, C (64, 128) of a warpgroup, which is four warps: warp w has rows 16 w to 16 w + 15,
/// and at[j] is its fragment of columns 8 j to 8 j + 7.
struct Accumulators {
  FragmentC at[16];
};

/// The two values of a word, as f32.
MAE_HOST_DEVICE inline float low_half(unsigned word) {
  word <<= 16;
  float value;
  memcpy(&value, &word, 4);
  return value;
}
MAE_HOST_DEVICE inline float high_half(unsigned word) {
  word &= 0xffff0000u;
  float value;
  memcpy(&value, &word, 4);
  return value;
}

}  // namespace kernels
