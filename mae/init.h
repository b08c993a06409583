// Initial values of a Masked Autoencoder.
#pragma once

#include <cstdint>

#include "engine/init.h"
#include "mae/config.h"

namespace mae {

/// xavier (official): linear weights xavier-uniform (qkv as the one (3D, D) matrix that it is), biases 0; the patch
/// embedding's weight xavier on its (D, C P P) view, its bias U(+-1/sqrt(C P P)), which the official code leaves at
/// PyTorch's default; class and mask token N(0, 0.02); norms 1 and 0; positions sine-cosine, or learned N(0, 0.02) cut
/// at +-2 (timm's truncation is in absolute units). pytorch (small-scale recipe): every weight and bias U(+-1/sqrt(fan
/// in)); tokens and positions as above.
void draw_initial_values(kernels::Stream& stream, const Config& config, engine::Parameters& parameters,
                         std::uint32_t seed);

}  // namespace mae
