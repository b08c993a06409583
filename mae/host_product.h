// A matrix product of the host's own, for code that is no part of a model: classifiers on features.
#pragma once

#include "kernels/matmul.h"

namespace mae {

/// Runs it on the CPU in the calling thread's stream, with the scratch memory that its row asks for, and waits. Inside
/// of kernels::cpu::parallel_for it runs on one thread: a thin product is over before threads have met.
void host_product(const kernels::MatMul& args);

}  // namespace mae
