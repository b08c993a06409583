// Element types of tensors: a run-time enum, because a model's precision is a configuration key.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/bf16.h"

namespace kernels {

enum class DType : std::uint8_t { f64, f32, bf16, i32, u32, u16, u8 };

constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::f64:
      return 8;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::bf16:
    case DType::u16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* name_of(DType t) {
  constexpr const char* names[] = {"f64", "f32", "bf16", "i32", "u32", "u16", "u8"};
  return names[static_cast<int>(t)];
}

constexpr bool is_floating(DType t) { return t == DType::f64 || t == DType::f32 || t == DType::bf16; }

/// The types that pixels of images have.
constexpr bool is_pixel(DType t) { return t == DType::u8 || t == DType::u16 || t == DType::f32 || t == DType::f64; }

/// The type in which sums and statistics of data of type `t` are kept: f64 for f64, else f32.
constexpr DType statistics_of(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

template <class T>
inline constexpr DType dtype_of = DType::f64;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<std::uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;

/// C++ twin of statistics_of: the type that reference rows compute in.
template <class T>
struct StatisticsOf {
  using type = float;
};
template <>
struct StatisticsOf<double> {
  using type = double;
};
template <class T>
using Statistics = typename StatisticsOf<T>::type;

/// Calls f(T{}) with the C++ type of a floating dtype; f64, f32 and bf16 only (validate has refused all else).
template <class F>
void visit_floating(DType t, F&& f) {
  switch (t) {
    case DType::f64:
      f(double{});
      break;
    case DType::f32:
      f(float{});
      break;
    case DType::bf16:
      f(bf16{});
      break;
    default:
      break;
  }
}

/// Calls f(T{}) with the C++ type of a dtype that pixels have (validate has refused all else).
template <class F>
void visit_pixel(DType t, F&& f) {
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

}  // namespace kernels
