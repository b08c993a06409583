// Every kernel there is, so that tests, bench and `mae devices` find a new one without being told.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/layernorm.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace kernels {

template <class... Args> struct KernelList {};
// clang-format off
using AllKernels = KernelList<
    Fill,
    Cast,
    Accumulate,
    LayerNormForward,
    LayerNormBackward,
    AdamW,
    StepGuard,
    StepAdvance,
    ColumnSum,
    SquaredNorm>;
// clang-format on

/// visit.operator()<Args>() for every kernel, in order.
template <class Visitor, class... Args> void for_each_kernel(KernelList<Args...>, Visitor&& visit) {
  (visit.template operator()<Args>(), ...);
}

}  // namespace kernels
