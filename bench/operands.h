// Memory of a launch: several sets of operands that are used in turn, so that no cache serves what a training step
// would have to fetch; and what they are filled with.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "bench/work.h"

namespace bench {

/// Memory of one device that goes with its owner.
std::shared_ptr<void> device_memory(const Device& device, std::size_t bytes);

class Operands {
 public:
  /// Room for as many sets as it takes to exceed the device's caches twice: at least 4, at most 64, fewer where memory
  /// does not allow it. Throws Error where not even one fits.
  Operands(const Work& work, const Device& device);

  std::size_t count() const { return sets_.size(); }
  const Memory& set(std::size_t i) const { return sets_[i % sets_.size()]; }
  std::size_t set_bytes() const { return set_bytes_; }
  std::size_t total_bytes() const { return set_bytes_ * sets_.size(); }

  /// Random values in every operand of every set, and what the case's own maker gives: the same in all sets.
  void randomise(Stream& stream);
  /// NaN, or 173 in integers, in the outputs of one set.
  void poison(Stream& stream, std::size_t set);

  /// The elements of field `field` of the first set, those between rows too.
  std::vector<std::byte> download(Stream& stream, std::size_t field) const;
  void upload(Stream& stream, std::size_t field, const std::vector<std::byte>& bytes);

 private:
  void make_as_the_case_does(Stream& stream);

  const Work& work_;
  std::vector<std::shared_ptr<void>> blocks_;
  std::vector<Memory> sets_;
  std::size_t set_bytes_ = 0;
};

/// The host's own copy of operands in the types of the reference: f64 for floating fields, integers as they are.
class Exact {
 public:
  explicit Exact(const Work& work);
  const Memory& memory() const { return memory_; }
  void take(std::size_t field, const std::vector<std::byte>& bytes);  // in the field's own type
  std::vector<std::byte> give(std::size_t field) const;               // rounded to the field's own type

 private:
  const Work& work_;
  std::vector<std::unique_ptr<double[]>> values_;  // integers in its bytes
  Memory memory_;
};

/// norm(a - exact) / norm(exact), or norm(a) where `exact` is zero; infinity for anything that is not a number.
double relative_error(const View& a, const View& exact);

/// Bytes of the caches that operands must exceed.
std::size_t cache_bytes(const Device& device);

}  // namespace bench
