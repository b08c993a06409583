// Kernels that have no hand-written rows yet.
#include "kernels/cuda/common.cuh"
#include "kernels/registry.h"

namespace kernels {
const Rows<Patchify> Patchify::MAE_GPU{};
const Rows<Unpatchify> Unpatchify::MAE_GPU{};
const Rows<TokenGatherForward> TokenGatherForward::MAE_GPU{};
const Rows<TokenGatherBackward> TokenGatherBackward::MAE_GPU{};
const Rows<TokenEmbedForward> TokenEmbedForward::MAE_GPU{};
const Rows<TokenEmbedBackward> TokenEmbedBackward::MAE_GPU{};
const Rows<TokenScatterForward> TokenScatterForward::MAE_GPU{};
const Rows<TokenScatterBackward> TokenScatterBackward::MAE_GPU{};
}  // namespace kernels
