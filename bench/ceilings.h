// What the machine can do at most, measured in the run that uses it: bytes a second of a large copy, and operations a
// second of a large matrix product in each type; on the CPU of multiply-adds in registers, too.
#pragma once

#include <map>
#include <string>

#include "bench/timing.h"
#include "bench/work.h"

namespace bench {

struct Ceiling {
  double rate = 0;   // bytes or operations a second
  std::string what;  // "cast=packs of 2 x 1073 MB"
};

struct Ceilings {
  Ceiling bandwidth;
  std::map<DType, Ceiling> products;  // by type of the operands
  std::map<DType, Ceiling> fma;       // the same types; bf16 is computed in f32. Empty on a GPU

  /// The least microseconds that a launch in this type can take; `by_bytes`: whether memory is what bounds it.
  double floor_us(const Cost& cost, DType type, bool& by_bytes) const;
  /// Operations a second that no launch in this type exceeds: of multiply-adds, else of products; 0: not measured.
  double peak(DType type) const;
};

Ceiling measure_fma(DType type);

/// Those of the types in `products`: cast and matmul on large operands, by the row that is taken or by a library's, the
/// better of them.
Ceilings measure_ceilings(const Device& device, const std::vector<Kernel>& kernels, const std::vector<DType>& products);

}  // namespace bench
