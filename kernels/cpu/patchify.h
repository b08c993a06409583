// What the rows of patchify and unpatchify on the CPU share.
#pragma once

#include "kernels/tokens.h"

namespace kernels::cpu {

/// patchify_fast.cpp
const char* patchify_fast_refuses(const Device& device, const Patchify& a);
const char* unpatchify_fast_refuses(const Device& device, const Unpatchify& a);
void patchify_fast(Stream& stream, const Patchify& a, void* scratch);
void unpatchify_fast(Stream& stream, const Unpatchify& a, void* scratch);

}  // namespace kernels::cpu
