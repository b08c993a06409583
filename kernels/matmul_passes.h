// For rows of matmul whose product knows nothing of activations and column sums: they run the product alone, and other
// kernels behind it, on the same device.
#pragma once

#include "kernels/matmul.h"

namespace kernels {

/// The product without activation and column sum. For gelu its out is `pre`, where that is wanted.
MatMul product_of(const MatMul& s);

std::size_t passes_workspace(const Device& device, const MatMul& s);

/// What product_of left out. `row`: of those kernels; empty: their best.
void run_passes(Stream& stream, const MatMul& s, void* scratch, const std::string& row = {});

}  // namespace kernels
