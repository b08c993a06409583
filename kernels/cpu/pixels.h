// The types that pixels come in.
#pragma once

#include <cstdint>

#include "kernels/core/dtype.h"

namespace kernels::cpu {

/// Calls f(T{}) with the C++ type of pixels: u8, u16, f32 and f64 only (validate has refused all else).
template <class F>
void visit_pixel_type(DType t, F&& f) {
  switch (t) {
    case DType::u8:
      f(std::uint8_t{});
      break;
    case DType::u16:
      f(std::uint16_t{});
      break;
    case DType::f32:
      f(float{});
      break;
    case DType::f64:
      f(double{});
      break;
    default:
      break;
  }
}

}  // namespace kernels::cpu
