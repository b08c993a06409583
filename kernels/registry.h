// Every kernel there is, so that tests, bench and `mae devices` find a new one without being told.
#pragma once

#include "kernels/layernorm.h"
#include "kernels/loss.h"
#include "kernels/masking.h"
#include "kernels/tokens.h"

namespace kernels {

template <class... Args> struct KernelList {};
// clang-format off: one name a line
using AllKernels = KernelList<
    LayerNormForward,
    LayerNormBackward,
    MaskedMseForward,
    MaskedMseBackward,
    MaskRanks,
    Patchify,
    Unpatchify,
    TokenGatherForward,
    TokenGatherBackward,
    TokenEmbedForward,
    TokenEmbedBackward,
    TokenScatterForward,
    TokenScatterBackward>;
// clang-format on

/// visit.operator()<Args>() for every kernel, in order.
template <class Visitor, class... Args> void for_each_kernel(KernelList<Args...>, Visitor&& visit) {
  (visit.template operator()<Args>(), ...);
}

}  // namespace kernels
