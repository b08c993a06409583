// InputSlots: the device memory that micro-batches are copied into, some of them used in turn, so that one is filled
// while kernels read another.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mae/loader.h"
#include "mae/model.h"

namespace mae {

/// Device memory of so many slots, in bytes.
double input_bytes(const Config& config, kernels::DType pixels, kernels::DType compute, std::int64_t capacity,
                   int slots);

class InputSlots {
 public:
  /// `pixels`: dtype of the data set; `capacity`: the most samples of a micro-batch.
  InputSlots(kernels::Stream& stream, const Config& config, kernels::DType pixels, kernels::DType compute,
             std::int64_t capacity, int slots = 1);
  ~InputSlots();

  /// Copies samples [first, first + count) of a batch into the next slot, by way of pinned memory and a stream of its
  /// own; what is launched from now on waits for them, the host does not. Returns the slot.
  /// Throws kernels::Error where the images are not those that the slots were made for.
  int fill(const Batch& batch, std::int64_t first, std::int64_t count);
  /// The next slot with what lies in it from its last turn: nothing is copied. Throws kernels::Error where a slot has
  /// not been filled yet.
  int next_as_it_is();
  /// Everything that reads the slot has been launched: fill() may overwrite it after that.
  void release(int slot);

  Images images(int slot, std::int64_t count) const;
  View draws(int slot, std::int64_t count) const;  // (count, 2)
 private:
  struct Slot;

  int advance();

  kernels::Stream& stream_;
  std::unique_ptr<kernels::Stream> copies_;
  kernels::Shape image_;  // (height, width, channels)
  kernels::DType pixel_type_, table_type_;
  std::int64_t capacity_;  // samples
  std::size_t draws_at_;   // bytes: where the draws stand behind the pixels
  engine::Buffer scale_, shift_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::size_t next_ = 0;
  std::size_t filled_ = 0;  // calls of fill()
};

}  // namespace mae
