// InputSlots: the device memory that micro-batches are copied into, some of them used in turn, so that one is filled
// while kernels read another.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mae/encoder.h"
#include "mae/loader.h"

namespace mae {

/// Values of each sample, beside its pixels and draws.
struct ColumnShape {
  kernels::DType dtype = kernels::DType::f32;
  std::int64_t width = 1;

  std::size_t bytes() const { return static_cast<std::size_t>(width) * kernels::size_of(dtype); }  // of a sample
};
using Column = std::vector<std::byte, CacheAligned<std::byte>>;  // the rows of a batch, one behind another

struct SlotOptions {
  kernels::DType pixels = kernels::DType::u8;  // of the data set
  kernels::DType compute = kernels::DType::f32;
  std::int64_t capacity = 0;  // the most samples of a micro-batch
  std::vector<ColumnShape> columns{};
};

/// Device memory of so many slots, in bytes.
double input_bytes(const Config& config, const SlotOptions& options, int slots);

class InputSlots {
 public:
  InputSlots(kernels::Stream& stream, const Config& config, const SlotOptions& options, int slots = 1);
  ~InputSlots();

  /// Copies samples [first, first + count) of a batch, and their rows of the columns, into the next slot, by way of
  /// pinned memory and a stream of its own; what is launched from now on waits for them, the host does not. Returns the
  /// slot. Without columns, those of the slot are left as they are.
  /// Throws kernels::Error where the images are not those that the slots were made for.
  int fill(const Batch& batch, std::int64_t first, std::int64_t count, const std::vector<Column>& columns = {});
  /// The next slot with what lies in it from its last turn: nothing is copied. Throws kernels::Error where a slot has
  /// not been filled yet.
  int next_as_it_is();
  /// Everything that reads the slot has been launched: fill() may overwrite it after that.
  void release(int slot);

  Images images(int slot, std::int64_t count) const;
  View draws(int slot, std::int64_t count) const;                  // (count, 2)
  View column(int slot, std::size_t i, std::int64_t count) const;  // (count, width)

  double bytes() const;  // of all slots

 private:
  struct Slot;

  int advance();

  kernels::Stream& stream_;
  std::unique_ptr<kernels::Stream> copies_;
  kernels::Shape image_;  // (height, width, channels)
  kernels::DType pixel_type_, table_type_;
  std::int64_t capacity_;  // samples
  std::vector<ColumnShape> columns_;
  std::vector<std::size_t> parts_;  // bytes: where draws and columns stand behind the pixels, then the slot's length
  engine::Buffer scale_, shift_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::size_t next_ = 0;
  std::size_t filled_ = 0;  // calls of fill()
};

}  // namespace mae
