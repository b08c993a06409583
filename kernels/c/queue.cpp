#include "kernels/c/queue.h"

#include "kernels/core/build.h"
#include "kernels/core/check.h"
#include "kernels/cuda/foreign.h"

using namespace kernels;

namespace {

ForeignQueue queue_on(const Device& device, void* cuda_stream) {
  if (device.kind != DeviceKind::cuda) {
    if (cuda_stream) throw Error("a CUDA stream belongs to a GPU", device.name, "null for the stream");
    return {nullptr};
  }
  if constexpr (with_cuda) {
    if (!cuda_stream) return {cuda::default_stream()};
  }
  return {cuda_stream};
}

}  // namespace

KeepsCurrentDevice::KeepsCurrentDevice() {
  if constexpr (with_cuda) kept_ = cuda::current_device();
}

KeepsCurrentDevice::~KeepsCurrentDevice() {
  if constexpr (with_cuda) {
    if (kept_ >= 0) cuda::make_current(kept_);
  }
}

void KeepsCurrentDevice::enter([[maybe_unused]] const Device& device) {
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda) cuda::make_current(device.index);
  }
}

mae_stream::mae_stream(const Device& device, void* cuda_stream) : stream(device, queue_on(device, cuda_stream)) {}

mae_stream::~mae_stream() {
  if (scratch_) release(device(), scratch_);
}

void mae_stream::reserve(std::size_t bytes) {
  if (bytes <= scratch_bytes_) return;
  void* const larger = allocate(device(), bytes);
  if (scratch_) {
    stream.synchronize();  // earlier launches may still use it
    release(device(), scratch_);
  }
  scratch_ = larger;
  scratch_bytes_ = bytes;
  stream.lend_scratch(scratch_, scratch_bytes_);
}

std::mutex& mae_stream::gate() {
  static std::mutex of_simt;
  return device().kind == DeviceKind::simt ? of_simt : gate_;
}
