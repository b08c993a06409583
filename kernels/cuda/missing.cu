// Kernels that have no hand-written rows yet.
#include "kernels/cuda/common.cuh"
#include "kernels/registry.h"

namespace kernels {
const Rows<MaskedMseForward> MaskedMseForward::MAE_GPU{};
const Rows<MaskedMseBackward> MaskedMseBackward::MAE_GPU{};
const Rows<MaskRanks> MaskRanks::MAE_GPU{};
const Rows<ColumnSum> ColumnSum::MAE_GPU{};
const Rows<SquaredNorm> SquaredNorm::MAE_GPU{};
const Rows<Patchify> Patchify::MAE_GPU{};
const Rows<Unpatchify> Unpatchify::MAE_GPU{};
const Rows<TokenGatherForward> TokenGatherForward::MAE_GPU{};
const Rows<TokenGatherBackward> TokenGatherBackward::MAE_GPU{};
const Rows<TokenEmbedForward> TokenEmbedForward::MAE_GPU{};
const Rows<TokenEmbedBackward> TokenEmbedBackward::MAE_GPU{};
const Rows<TokenScatterForward> TokenScatterForward::MAE_GPU{};
const Rows<TokenScatterBackward> TokenScatterBackward::MAE_GPU{};
}  // namespace kernels
