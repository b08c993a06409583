// What the rows of the moves of tokens on the CPU share.
#pragma once

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/token_merge.h"
#include "kernels/tokens.h"

namespace kernels::cpu {

template <class Args>
const char* is_f64(const Device&, const Args& a) {
  DType t;
  if constexpr (requires { a.dout; }) t = a.dout.dtype;
  else t = a.x.dtype;
  return t == DType::f64 ? "this row has f32 and bf16 only" : nullptr;
}

/// dx of scatter and of merge: the class token's gradient, then those of the kept patches.
template <class T, class Args>
void kept_gradients(const Args& a, std::int64_t b) {
  const std::int64_t L = a.rank.cols(), K = a.ids.cols(), C = a.dout.cols();
  const std::int32_t* ids = a.ids.template row<std::int32_t>(b);
  const auto dout = [&](std::int64_t t) { return a.dout.template row<const T>(b * (1 + L) + t); };
  const auto dx = [&](std::int64_t t) { return a.dx.template row<T>(b * (1 + K) + t); };
  std::copy_n(dout(0), C, dx(0));
  for (std::int64_t k = 0; k < K; ++k) std::copy_n(dout(1 + ids[k]), C, dx(1 + k));
}

/// dx of embed: dout without its class tokens, or all of it.
template <class T>
void embed_dx(const TokenEmbedBackward& a) {
  const std::int64_t B = a.dout.shape[0], tokens = a.dout.shape[1], rows = a.dx.shape[1], C = a.dout.cols();
  parallel_for(B, [&](std::int64_t b) {
    const std::int64_t from = b * tokens + tokens - rows;
    for (std::int64_t i = 0; i < rows; ++i) std::copy_n(a.dout.row<T>(from + i), C, a.dx.row<T>(b * rows + i));
  });
}

/// tokens_fast.cpp
std::size_t scatter_backward_fast_workspace(const Device& device, const TokenScatterBackward& a);
void embed_backward_fast(Stream& stream, const TokenEmbedBackward& a, void* scratch);
void scatter_backward_fast(Stream& stream, const TokenScatterBackward& a, void* scratch);
void merge_backward_fast(Stream& stream, const TokenMergeBackward& a, void* scratch);

}  // namespace kernels::cpu
