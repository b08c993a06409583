// What the attention rows on the CPU share: where a head's rows lie, and how heads are shared out.
#pragma once

#include <algorithm>

#include "kernels/attention.h"
#include "kernels/cpu/parallel.h"

namespace kernels::cpu {

/// The D elements of head h in row t of sample b.
template <class T>
T* head_row(const View& x, const AttentionSizes& s, std::int64_t b, std::int64_t t, std::int64_t h) {
  return x.row<T>(b * x.shape[1] + t) + h * s.D;
}

/// How many parts the heads are shared out in, each with scratch of its own.
inline std::int64_t workers_of(const Device& device, const AttentionSizes& s) {
  return std::min<std::int64_t>(std::max(1, device.multiprocessors), s.B * s.H);
}

/// body(b, h, scratch) for every sample and head, with the worker's own `floats` elements of scratch.
template <class T, class F>
void for_each_head(const Device& device, const AttentionSizes& s, void* scratch, std::int64_t floats, F&& body) {
  const std::int64_t heads = s.B * s.H, workers = workers_of(device, s);
  parallel_for(workers, [&](std::int64_t w) {
    for (std::int64_t i = heads * w / workers; i < heads * (w + 1) / workers; ++i)
      body(i / s.H, i % s.H, static_cast<T*>(scratch) + w * floats);
  });
}

/// attention_fast.cpp
std::size_t forward_fast_workspace(const Device& device, const AttentionForward& a);
std::size_t backward_fast_workspace(const Device& device, const AttentionBackward& a);
void forward_fast(Stream& stream, const AttentionForward& a, void* scratch);
void backward_fast(Stream& stream, const AttentionBackward& a, void* scratch);

}  // namespace kernels::cpu
