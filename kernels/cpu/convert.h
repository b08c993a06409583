// Conversion between f32 and bf16, vectorised: the row of Cast, and what rows that hold data of one type and compute in
// the other need.
#pragma once

#include "kernels/core/view.h"

namespace kernels::cpu {

/// out = x for two views of one shape, one of f32 and one of bf16; rounded to nearest even, NaN kept.
void convert(const View& x, const View& out);

/// The same for a run of elements, on the calling thread.
void convert_run(const float* x, bf16* out, std::int64_t count);
void convert_run(const bf16* x, float* out, std::int64_t count);

}  // namespace kernels::cpu
