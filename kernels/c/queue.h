// What a mae_stream is: a Stream with scratch of its own, which threads may share.
#pragma once

#include <cstddef>
#include <mutex>

#include "kernels/core/stream.h"

/// Keeps the caller's current GPU: what is done for ours while this stands does not outlast it.
class KeepsCurrentDevice {
 public:
  KeepsCurrentDevice();
  ~KeepsCurrentDevice();
  KeepsCurrentDevice(const KeepsCurrentDevice&) = delete;
  KeepsCurrentDevice& operator=(const KeepsCurrentDevice&) = delete;
  /// Makes a GPU current; of another device, nothing.
  void enter(const kernels::Device& device);

 private:
  int kept_ = -1;  // none
};

struct mae_stream {
  mae_stream(const kernels::Device& device, void* cuda_stream);
  ~mae_stream();
  mae_stream(const mae_stream&) = delete;
  mae_stream& operator=(const mae_stream&) = delete;

  const kernels::Device& device() const { return stream.device(); }
  /// Scratch of at least so many bytes.
  void reserve(std::size_t bytes);
  /// Held through a launch. simt has one grid for the whole process.
  std::mutex& gate();

  kernels::Stream stream;

 private:
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::mutex gate_;
};
