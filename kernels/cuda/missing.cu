// Kernels that have no hand-written rows yet.
#include "kernels/cuda/common.cuh"
#include "kernels/registry.h"

namespace kernels {
const Rows<GeluForward> GeluForward::MAE_GPU{};
const Rows<GeluBackward> GeluBackward::MAE_GPU{};
const Rows<AttentionForward> AttentionForward::MAE_GPU{};
const Rows<AttentionBackward> AttentionBackward::MAE_GPU{};
const Rows<Fill> Fill::MAE_GPU{};
const Rows<Cast> Cast::MAE_GPU{};
const Rows<Accumulate> Accumulate::MAE_GPU{};
const Rows<MaskedMseForward> MaskedMseForward::MAE_GPU{};
const Rows<MaskedMseBackward> MaskedMseBackward::MAE_GPU{};
const Rows<MaskRanks> MaskRanks::MAE_GPU{};
const Rows<MatMul> MatMul::MAE_GPU{};
const Rows<AdamW> AdamW::MAE_GPU{};
const Rows<StepGuard> StepGuard::MAE_GPU{};
const Rows<StepAdvance> StepAdvance::MAE_GPU{};
const Rows<ColumnSum> ColumnSum::MAE_GPU{};
const Rows<SquaredNorm> SquaredNorm::MAE_GPU{};
}  // namespace kernels
