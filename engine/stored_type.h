// Element types of tensors in files. The first are kernels::DType's, with the same values; the others are only read:
// programs beside this one write them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/core/dtype.h"

namespace engine {

enum class StoredType : std::uint8_t { f64, f32, bf16, i32, u32, u16, u8, f16, i64, u64, i16, i8, boolean };

constexpr StoredType stored_as(kernels::DType t) { return static_cast<StoredType>(t); }

/// Nothing for the types that no tensor of ours has.
constexpr std::optional<kernels::DType> dtype_of(StoredType t) {
  if (t > StoredType::u8) return std::nullopt;
  return static_cast<kernels::DType>(t);
}

constexpr std::size_t size_of(StoredType t) {
  constexpr std::size_t sizes[] = {8, 4, 2, 4, 4, 2, 1, 2, 8, 8, 2, 1, 1};
  return sizes[static_cast<int>(t)];
}

constexpr const char* name_of(StoredType t) {
  constexpr const char* names[] = {"f64", "f32", "bf16", "i32", "u32", "u16", "u8", "f16", "i64", "u64", "i16", "i8", "bool"};
  return names[static_cast<int>(t)];
}

constexpr bool is_floating(StoredType t) { return t <= StoredType::bf16 || t == StoredType::f16; }

}  // namespace engine
