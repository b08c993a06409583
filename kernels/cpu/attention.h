// What the attention rows on the CPU share: where a head's rows lie, and how heads are shared out.
#pragma once

#include <algorithm>

#include "kernels/attention.h"
#include "kernels/cpu/parallel.h"

namespace kernels::cpu {

enum Part { query, key, value };

/// The D elements of token t, head h in qkv or dqkv (B, T, 3, H, D).
template <class T>
T* packed_row(const View& qkv, std::int64_t b, std::int64_t t, Part part, std::int64_t h) {
  return qkv.row<T>(((b * qkv.shape[1] + t) * 3 + part) * qkv.shape[3] + h);
}

/// The D elements of token t, head h in out or dout (B, T, H, D).
template <class T>
T* token_row(const View& out, std::int64_t b, std::int64_t t, std::int64_t h) {
  return out.row<T>((b * out.shape[1] + t) * out.shape[2] + h);
}

inline std::int64_t heads_of(const View& qkv) { return qkv.shape[0] * qkv.shape[3]; }

/// How many parts the heads are shared out in, each with scratch of its own.
inline std::int64_t workers_of(const Device& device, const View& qkv) {
  return std::min<std::int64_t>(std::max(1, device.multiprocessors), heads_of(qkv));
}

/// body(b, h, scratch) for every sample and head, with the worker's own `floats` elements of scratch.
template <class T, class F>
void for_each_head(const Device& device, const View& qkv, void* scratch, std::int64_t floats, F&& body) {
  const std::int64_t heads = heads_of(qkv), H = qkv.shape[3], workers = workers_of(device, qkv);
  parallel_for(workers, [&](std::int64_t w) {
    for (std::int64_t i = heads * w / workers; i < heads * (w + 1) / workers; ++i)
      body(i / H, i % H, static_cast<T*>(scratch) + w * floats);
  });
}

/// attention_fast.cpp
std::size_t forward_fast_workspace(const Device& device, const AttentionForward& a);
std::size_t backward_fast_workspace(const Device& device, const AttentionBackward& a);
void forward_fast(Stream& stream, const AttentionForward& a, void* scratch);
void backward_fast(Stream& stream, const AttentionBackward& a, void* scratch);

}  // namespace kernels::cpu
