// Masks as the reference draws them: patches sorted by noise (official random_masking), so that its masks can be had
// here. Training draws its own, see kernels/masking.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/memory.h"
#include "engine/ops.h"

namespace mae {

/// The first n values of torch.rand on the CPU, in f32, after torch.manual_seed(seed): MT19937, 24 bits of each word.
std::vector<float> torch_rand(std::uint32_t seed, std::int64_t n);

/// "torch:SEED", or a .npy file of f32 (images, patches) -> images * patches values. Throws kernels::Error naming
/// --noise where the text is neither, or the file has another shape.
std::vector<float> read_noise(const std::string& text, std::int64_t images, std::int64_t patches);

/// The order of patches that noise (B, L) gives: ids sorted by it, ties by index, and ranks, on the device.
class NoiseMasking {
 public:
  NoiseMasking(kernels::Stream& stream, const std::vector<float>& noise, std::int64_t patches);
  const engine::Masking& masking() const { return masking_; }

 private:
  engine::Buffer rank_, ids_;
  engine::Masking masking_;
};

}  // namespace mae
