// Cases: for each kernel the shapes, input makers and bounds that tests and bench share.
//
// A case is made from a parsed shape ("B=64 T=197 H=12 D=64"), so both take any shape. A kernel gives a Case<Args> with
//     static constexpr const char* tests[];               // shapes for tests: small, odd, more than one block
//     static constexpr const char* bench[];               // shapes for bench: MAE's own
//     static std::vector<DType> dtypes();
//     static std::vector<Args> make(const Dims&, DType);  // one Args for each variation; views without memory
// and, where N(0, 1) inputs will not do,
//     static void fill(Args& args64);                     // overwrites inputs in place; data is f64 or integer
// and, where there is nothing to share out,
//     static constexpr bool scalars_only = true;          // one thread of a GPU does it all
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/launch.h"

namespace kernels {

/// Named sizes: Dims("R=64 C=768")["C"] == 768. Throws Error on anything else than NAME=POSITIVE INTEGER.
class Dims {
 public:
  explicit Dims(const std::string& text);
  std::int64_t operator[](const std::string& name) const;  // throws Error where the name was not given
  std::int64_t get(const std::string& name, std::int64_t otherwise) const;

 private:
  std::string text_;
  std::map<std::string, std::int64_t> sizes_;
};

/// How far a row may be from CPU f64 on the same (rounded) inputs: relative L2 a tensor. design bounds, NaN never
/// passes.
struct Bound {
  double f64 = 1e-12;
  double f32 = 1e-5;
  double bf16 = 5e-3;
};
inline double bound_of(const Bound& b, DType t) { return t == DType::f64 ? b.f64 : t == DType::f32 ? b.f32 : b.bf16; }

template <class Args>
struct Case;

/// A view that has no memory yet.
inline View shaped(DType dtype, const Shape& shape, std::int64_t row_stride = 0) {
  return view_of(nullptr, dtype, shape, row_stride);
}

}  // namespace kernels
