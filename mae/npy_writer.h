// Writes .npy, the array file of NumPy, version 1.0: numpy.load reads it, and mae/npy.cpp where it is an image's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"

namespace mae {

/// An array in row-major order, little-endian, written atomically (engine/files.h). `data`: host memory, contiguous;
/// any dtype but bf16, which NumPy has not.
void write_npy(const std::string& path, kernels::DType dtype, const std::vector<std::int64_t>& shape, const void* data);

}  // namespace mae
