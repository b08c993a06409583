// Every kernel there is, so that tests, bench and `mae devices` find a new one without being told.
#pragma once

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"

namespace kernels {

template <class... Args> struct KernelList {};
using AllKernels = KernelList<  //
    GeluForward,        //
    GeluBackward,       //
    AttentionForward,   //
    AttentionBackward,  //
    LayerNormForward,   //
    LayerNormBackward,  //
    MatMul>;

/// visit.operator()<Args>() for every kernel, in order.
template <class Visitor, class... Args> void for_each_kernel(KernelList<Args...>, Visitor&& visit) {
  (visit.template operator()<Args>(), ...);
}

}  // namespace kernels
