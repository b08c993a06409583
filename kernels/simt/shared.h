// Shared memory of one block on simt: every element knows who wrote and read it, so that each of these stops the launch
// by name:
//     an access past the array; a read of what nobody has written; two threads at one element, one of them writing,
//     without a barrier (or, within a warp, a __syncwarp of both) between them; a read of, or a write to, what cp.async
//     or a bulk copy has been told to fill, by a thread that has not waited for it; a write to what a product of a
//     warpgroup still reads; a use of the dynamic array as what it was, when another thread uses it again as another
//     type.
//
// Kernels hold arrays with `auto`, because on a GPU Shared<T> is a plain T*. Elements are read into variables of a
// named type: `float x = array[i]`; with `auto` this would not be a value, and does not compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/bf16.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/mbarrier.h"

namespace kernels::simt {

/// Enough to find every pair of accesses that are not in order. Behind a barrier, earlier ones do not count. Before it,
/// threads of two warps are never in order, so of a second warp's readers one is enough. What may be missed: lanes that
/// read between __syncwarps of less than a warp share one moment, the earliest of theirs.
struct SharedElement {
  static constexpr std::uint16_t nobody = 0xffff;
  static constexpr std::uint16_t bulk_copy = 0xfffe;  // as a writer
  std::uint16_t writer = nobody;                      // the last one
  std::uint16_t other = nobody;                       // a reader since then, of another warp than:
  std::uint16_t warp = 0;
  bool in_flight = false;
  std::uint16_t written_at = 0, other_at = 0, read_at = 0;  // lines
  std::uint32_t lanes = 0;                                  // readers since then, of this warp
  Moment written, read;
  const Mbarrier* barrier = nullptr;  // of a bulk copy that has landed: what it reports to, and in which phase it did
  unsigned phase = 0;
  std::uint32_t products = 0;       // of warpgroups, which will still read: of each, one a thread
  std::uint16_t multiplied_at = 0;  // the line of one
};

struct SharedArray {
  std::string type, name;  // "f32", "f32 [256], id 0"
  std::size_t count = 0, element_bytes = 0;
  std::vector<std::byte> bytes;  // 16-byte aligned, as operator new gives them
  std::vector<SharedElement> elements;
  std::string gone;  // to whom and where, once its memory is another array
};

/// The blocks of a new cluster have no arrays; the dynamic ones have `dynamic_bytes`.
void begin_shared(std::size_t dynamic_bytes);
/// The block's array of this id, made by the first thread that asks.
SharedArray& shared_array(const char* type, std::size_t element_bytes, std::size_t count, int id);
SharedArray& dynamic_array(const char* type, std::size_t element_bytes);
SharedArray& dynamic_array_of(unsigned rank, const char* type, std::size_t element_bytes);  // another block's
/// The dynamic array's memory as elements of another type: who touches it as what it was is stopped from now on.
SharedArray& dynamic_array_again(const char* type, std::size_t element_bytes, Place place);

void check_read(SharedArray& array, std::ptrdiff_t at, Place place);
void check_write(SharedArray& array, std::ptrdiff_t at, Place place);

/// For a debugger: one element of the block that runs, unchecked: "0.25, written by thread 3 at line 170". The id of
/// the dynamic array is -1, and -2 where it is used again.
const char* peek(int id, long at);

/// What stands between [ and ], and where.
struct Subscript {
  std::ptrdiff_t at;
  Place place;
  Subscript(std::ptrdiff_t i, const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : at(i), place{file, line} {}
};

template <class T>
class Shared {
 public:
  /// What array[i] stands for: reading and assigning it are checked apart. Only a temporary can be read or assigned.
  class Element {
   public:
    Element(SharedArray* array, std::ptrdiff_t at, Place place) : array_(array), at_(at), place_(place) {}
    operator T() const&& { return read(); }
    T operator=(T value) && {
      check_write(*array_, at_, place_);
      std::memcpy(memory(), &value, sizeof(T));
      return value;
    }
    T operator=(Element&& other) && { return std::move(*this) = other.read(); }
    T operator+=(T value) && { return std::move(*this) = static_cast<T>(read() + value); }

   private:
    T read() const {
      check_read(*array_, at_, place_);
      T value;
      std::memcpy(&value, memory(), sizeof(T));
      return value;
    }
    std::byte* memory() const { return array_->bytes.data() + static_cast<std::size_t>(at_) * sizeof(T); }

    SharedArray* array_;
    std::ptrdiff_t at_;
    Place place_;
  };

  explicit Shared(SharedArray& array, std::ptrdiff_t at = 0)
      : array_(&array), at_(at), values_(reinterpret_cast<const T*>(array.bytes.data())) {}
  Element operator[](Subscript i) const { return {array_, at_ + i.at, i.place}; }
  Shared operator+(std::ptrdiff_t i) const { return Shared(*array_, at_ + i); }

  SharedArray& array() const { return *array_; }
  std::ptrdiff_t at() const { return at_; }

 private:
  SharedArray* array_;
  std::ptrdiff_t at_;
  [[maybe_unused]] const T* values_;  // of element 0, for debuggers
};

/// cp.async: `bytes` from global memory to element `at`, and zeros up to 16, which land when the calling thread waits
/// for their group.
void copy_async16(SharedArray& array, std::ptrdiff_t at, const void* from, std::size_t bytes, Place place);
void commit_async();
void wait_async(unsigned groups_left, Place place);

/// An element that a bulk copy fills, from when it is asked for until it has landed. Who uses it then must have waited
/// for the phase of the barrier in which it landed. `own`: of the block of the thread that copies; in what others of
/// its cluster do to their memory, no order with that thread is looked for.
void expect_bulk(SharedArray& array, std::ptrdiff_t at, bool own, Place place);
void land_bulk(SharedArray& array, std::size_t at, bf16 value, const Mbarrier& b);

/// The first of 1024 bytes that a product of a warpgroup will read, from when it is asked for until it has been waited
/// for. wgmma sees, without a further fence, only what bulk copies have brought, which is never less than this.
void begin_product(SharedArray& array, std::size_t at, Place place);
void end_product(SharedArray& array, std::size_t at);
bf16 read_product(SharedArray& array, std::size_t at, Place place);

}  // namespace kernels::simt
