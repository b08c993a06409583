// Every kernel there is, so that tests, bench and `mae devices` find a new one without being told.
#pragma once

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/augment.h"
#include "kernels/batchnorm.h"
#include "kernels/cross_entropy.h"
#include "kernels/drop_path.h"
#include "kernels/elementwise.h"
#include "kernels/layernorm.h"
#include "kernels/loss.h"
#include "kernels/masking.h"
#include "kernels/matmul.h"
#include "kernels/mix_images.h"
#include "kernels/momentum.h"
#include "kernels/moving_average.h"
#include "kernels/optimizer.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/token_merge.h"
#include "kernels/tokens.h"

namespace kernels {

template <class... Args>
struct KernelList {};

// One kernel a line, by header.
using AllKernels = KernelList<  //
    GeluForward,                //
    GeluBackward,               //
    AttentionForward,           //
    AttentionBackward,          //
    CropResize,                 //
    BatchNormForward,           //
    BatchNormBackward,          //
    SoftmaxCrossEntropy,        //
    SigmoidCrossEntropy,        //
    DropPathForward,            //
    DropPathBackward,           //
    Fill,                       //
    Cast,                       //
    Accumulate,                 //
    AddRow,                     //
    LayerNormForward,           //
    LayerNormBackward,          //
    MaskedMseForward,           //
    MaskedMseBackward,          //
    PixelLoss,                  //
    MaskRanks,                  //
    MatMul,                     //
    MixImages,                  //
    Momentum,                   //
    MovingAverage,              //
    AdamW,                      //
    StepGuard,                  //
    StepAdvance,                //
    TokenPoolForward,           //
    TokenPoolBackward,          //
    ColumnSum,                  //
    SquaredNorm,                //
    TokenMergeForward,          //
    TokenMergeBackward,         //
    Patchify,                   //
    Unpatchify,                 //
    TokenGatherForward,         //
    TokenGatherBackward,        //
    TokenEmbedForward,          //
    TokenEmbedBackward,         //
    TokenScatterForward,        //
    TokenScatterBackward>;

/// visit.operator()<Args>() for every kernel, in order.
template <class Visitor, class... Args>
void for_each_kernel(KernelList<Args...>, Visitor&& visit) {
  (visit.template operator()<Args>(), ...);
}

}  // namespace kernels
