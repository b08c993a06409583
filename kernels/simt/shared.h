// Shared memory of one block on simt: every element knows who wrote and read it last, so that each of these stops the
// launch by name:
//     an access past the array; a read of what nobody has written; two threads at one element, one of them writing,
//     without a barrier (or, within a warp, a full __syncwarp) between them; a read of, or a write to, what cp.async
//     has been told to fill but has not been waited for.
//
// Kernels hold arrays with `auto`, because on a GPU Shared<T> is a plain T*. Elements are read into variables of a
// named type: `float x = array[i]`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/core/bf16.h"
#include "kernels/simt/grid.h"

namespace kernels::simt {

struct SharedElement {
  static constexpr std::uint16_t nobody = 0xffff;
  std::uint16_t writer = nobody;
  std::uint16_t readers[2] = {nobody, nobody};  // the last one, and the last one of another warp
  bool in_flight = false;
  Moment written, read[2];
};

struct SharedArray {
  std::string name;  // "float [256], id 0"
  std::size_t count = 0;
  std::vector<std::byte> bytes;  // 16-byte aligned, as operator new gives them
  std::vector<SharedElement> elements;
};

/// A new block has no arrays; its dynamic one has `dynamic_bytes`.
void begin_shared(std::size_t dynamic_bytes);
/// The block's array of this id, made by the first thread that asks.
SharedArray& shared_array(const char* type, std::size_t element_bytes, std::size_t count, int id);
SharedArray& dynamic_array(const char* type, std::size_t element_bytes);

void check_read(SharedArray& array, std::ptrdiff_t at);
void check_write(SharedArray& array, std::ptrdiff_t at);

template <class T>
class Shared {
 public:
  /// What array[i] stands for: reading and assigning it are checked apart.
  class Element {
   public:
    Element(SharedArray* array, std::ptrdiff_t at) : array_(array), at_(at) {}
    operator T() const {
      check_read(*array_, at_);
      T value;
      std::memcpy(&value, array_->bytes.data() + static_cast<std::size_t>(at_) * sizeof(T), sizeof(T));
      return value;
    }
    const Element& operator=(T value) const {
      check_write(*array_, at_);
      std::memcpy(array_->bytes.data() + static_cast<std::size_t>(at_) * sizeof(T), &value, sizeof(T));
      return *this;
    }
    const Element& operator=(const Element& other) const { return *this = static_cast<T>(other); }
    const Element& operator+=(T value) const { return *this = static_cast<T>(*this) + value; }

   private:
    SharedArray* array_;
    std::ptrdiff_t at_;
  };

  explicit Shared(SharedArray& array, std::ptrdiff_t at = 0) : array_(&array), at_(at) {}
  Element operator[](std::ptrdiff_t i) const { return {array_, at_ + i}; }
  Shared operator+(std::ptrdiff_t i) const { return Shared(*array_, at_ + i); }

  SharedArray& array() const { return *array_; }
  std::ptrdiff_t at() const { return at_; }

 private:
  SharedArray* array_;
  std::ptrdiff_t at_;
};

/// cp.async: `bytes` from global memory to element `at`, which land when the calling thread waits for their group.
void copy_async(SharedArray& array, std::ptrdiff_t at, std::size_t element_bytes, const void* from, std::size_t bytes);
void commit_async();
void wait_async(unsigned groups_left);

}  // namespace kernels::simt
