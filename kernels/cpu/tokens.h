// What the rows of the moves of tokens on the CPU share.
#pragma once

#include "kernels/tokens.h"

namespace kernels::cpu {

template <class Args>
const char* is_f64(const Device&, const Args& a) {
  DType t;
  if constexpr (requires { a.dout; }) t = a.dout.dtype;
  else t = a.x.dtype;
  return t == DType::f64 ? "this row has f32 and bf16 only" : nullptr;
}

/// tokens_fast.cpp
std::size_t scatter_backward_fast_workspace(const Device& device, const TokenScatterBackward& a);
void embed_backward_fast(Stream& stream, const TokenEmbedBackward& a, void* scratch);
void scatter_backward_fast(Stream& stream, const TokenScatterBackward& a, void* scratch);

}  // namespace kernels::cpu
