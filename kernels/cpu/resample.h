// One image of CropResize on the host: the row of the kernel, and what the loader's workers call.
#pragma once

#include <cstddef>

#include "kernels/augment.h"

namespace kernels::cpu {

/// What a box is brought to.
struct Resized {
  std::int64_t height, width, channels;
};

/// Bytes that resample needs of scratch for boxes with no side longer than `longest`. T: u8, u16, float or double.
template <class T>
std::size_t resample_scratch(const Resized& size, std::int64_t longest);

/// out (height, width, channels) = the box, resized and flipped. scratch: on a 16-byte bound.
template <class T>
void resample(const T* pixels, const CropBox& box, const Resized& size, T* out, void* scratch);

}  // namespace kernels::cpu
