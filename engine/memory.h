// Memory has two lifetimes. Buffer: persistent (parameters, state, inputs). Arena: one block for everything that a step
// makes and frees; its size comes from a dry run, so it never grows and the same step finds the same addresses again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/core/stream.h"

namespace engine {

using kernels::DType;
using kernels::Shape;
using kernels::View;

/// Device memory that lives as long as its last owner.
class Buffer {
 public:
  Buffer() = default;
  /// Throws kernels::Error when the device has too little memory. Contents are undefined.
  Buffer(const kernels::Device& device, std::size_t bytes);

  void* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }
  View view(DType dtype, const Shape& shape) const { return kernels::view_of(data(), dtype, shape); }

 private:
  friend Buffer host_buffer(const kernels::Device& device, std::size_t bytes);

  std::shared_ptr<void> data_;
  std::size_t bytes_ = 0;
};

/// A buffer with these bytes, or values, in it. The host waits for the copy.
Buffer upload(kernels::Stream& stream, const void* data, std::size_t bytes);
template <class T>
Buffer upload(kernels::Stream& stream, const std::vector<T>& values) {
  return upload(stream, values.data(), values.size() * sizeof(T));
}
/// As `type`, f32 or f64.
Buffer upload_as(DType type, kernels::Stream& stream, const std::vector<double>& values);

/// Memory of the host that the device copies from and to while the host goes on.
Buffer host_buffer(const kernels::Device& device, std::size_t bytes);

/// Best-fit intervals in one block. Without a block (dry runs) it only keeps the books, and addresses count from 0.
class Arena {
 public:
  static constexpr std::size_t alignment = 512;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Gives the arena its block, once, while nothing is taken.
  void reserve(const kernels::Device& device, std::size_t bytes);

  /// Throws kernels::Error when a reserved block is full: the step differs from the one that was planned.
  std::size_t take(std::size_t bytes);
  void give(std::size_t offset) noexcept;
  void* at(std::size_t offset) const;

  std::size_t used() const { return used_; }
  std::size_t peak() const { return peak_; }  // the end of the highest interval ever taken

 private:
  // The last free interval stays without end in a reserved block too: its size must not make it the best fit in the
  // block and not in the dry run, or the two would part.
  static constexpr std::size_t unlimited = std::size_t{1} << 60;

  Buffer block_;
  std::size_t capacity_ = unlimited;
  std::size_t used_ = 0, peak_ = 0;
  std::map<std::size_t, std::size_t> taken_;                 // offset -> bytes
  std::map<std::size_t, std::size_t> free_{{0, unlimited}};  // offset -> bytes, neighbours merged
};

}  // namespace engine
