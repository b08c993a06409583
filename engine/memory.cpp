#include "engine/memory.h"

#include "kernels/core/check.h"

namespace engine {

Buffer::Buffer(const kernels::Device& device, std::size_t bytes)
    : data_(kernels::allocate(device, bytes), [device](void* p) { kernels::release(device, p); }), bytes_(bytes) {}

Buffer upload(kernels::Stream& stream, const void* data, std::size_t bytes) {
  Buffer buffer(stream.device(), bytes);
  stream.copy(buffer.data(), data, bytes);
  stream.synchronize();
  return buffer;
}

Buffer upload_as(DType type, kernels::Stream& stream, const std::vector<double>& values) {
  return type == DType::f64 ? upload(stream, values) : upload(stream, std::vector<float>(values.begin(), values.end()));
}

Buffer host_buffer(const kernels::Device& device, std::size_t bytes) {
  Buffer buffer;
  buffer.data_ = {kernels::allocate_host(device, bytes), [device](void* p) { kernels::release_host(device, p); }};
  buffer.bytes_ = bytes;
  return buffer;
}

void Arena::reserve(const kernels::Device& device, std::size_t bytes) {
  if (capacity_ != unlimited || used_ > 0) throw kernels::Error("reserved twice, or in use", "arena");
  block_ = Buffer(device, bytes);
  capacity_ = bytes;
}

std::size_t Arena::take(std::size_t bytes) {
  bytes = (bytes + alignment - 1) / alignment * alignment;
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
  }
  const auto [offset, size] = *best;
  if (offset + bytes > capacity_) {
    throw kernels::Error("the step arena is full: " + std::to_string(bytes) + " bytes wanted, " +
                             std::to_string(used_) + " of " + std::to_string(capacity_) + " used",
                         "arena", "this step allocates more than the dry run that sized it: report it as a bug");
  }
  free_.erase(best);
  if (size > bytes) free_[offset + bytes] = size - bytes;
  taken_[offset] = bytes;
  used_ += bytes;
  peak_ = std::max(peak_, offset + bytes);
  return offset;
}

void Arena::give(std::size_t offset) noexcept {
  const auto taken = taken_.find(offset);
  std::size_t bytes = taken->second;
  taken_.erase(taken);
  used_ -= bytes;
  const auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes) {
    bytes += next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound(offset);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  free_[offset] = bytes;
}

void* Arena::at(std::size_t offset) const {
  return capacity_ != unlimited ? static_cast<std::byte*>(block_.data()) + offset : nullptr;
}

}  // namespace engine
