// What a profiler sees of the launches of kernels/cuda, and what a benchmark asks about them. No CUDA header; callers
// stand behind `if constexpr (with_cuda)`.
#pragma once

#include <cstddef>

#include "kernels/core/stream.h"

namespace kernels::cuda {

/// A profiler that was told to wait for it (ncu --profile-from-start off) looks at what runs between these two, which
/// take effect at once: what is queued must have ended before either.
void start_profiler();
void stop_profiler();

/// An NVTX range with the kernel's name, "layernorm_forward", from construction to the end of its block. Without a
/// profiler NVTX looks at one pointer and returns.
class LaunchRange {
 public:
  explicit LaunchRange(const Running& running);
  ~LaunchRange();
  LaunchRange(const LaunchRange&) = delete;
  LaunchRange& operator=(const LaunchRange&) = delete;
};

/// Of a kernel as it was launched.
struct LaunchFacts {
  unsigned warps = 0;      // of the grid; 0: nothing of ours was launched
  int registers = 0;       // a thread
  std::size_t shared = 0;  // bytes a block, static and dynamic
  double occupancy = 0;    // warps that a multiprocessor can hold at a time, of those that it has room for: 0 to 1
};

inline LaunchFacts* asked_facts = nullptr;  // null: nobody asks

/// While it lives, `to` gets the facts of the largest grid that is launched. One at a time.
struct AskFacts {
  explicit AskFacts(LaunchFacts& to) { asked_facts = &to; }
  ~AskFacts() { asked_facts = nullptr; }
  AskFacts(const AskFacts&) = delete;
  AskFacts& operator=(const AskFacts&) = delete;
};

/// For who launches, where facts are asked for.
void note_facts(const void* kernel, unsigned blocks, unsigned threads, std::size_t dynamic_shared);

}  // namespace kernels::cuda
