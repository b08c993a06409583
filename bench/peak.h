// The most multiply-adds that the CPU's vector units can do.
#pragma once

#include "bench/work.h"

namespace bench {

/// Operations a second of fused multiply-adds in registers, two operations each, on all threads of the pool; f64, or
/// f32 for any other type. `what` says with which vectors. Takes 50 ms: the best of ten rounds.
double fma_peak(DType type, std::string& what);

}  // namespace bench
