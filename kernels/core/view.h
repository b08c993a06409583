// View: a row-major tensor over memory that somebody else owns, with one free stride.
//
// The last dimension is the row; its elements are contiguous. Consecutive rows (all leading dimensions flattened) are
// row_stride elements apart, so that 588-wide rows can live in a buffer of stride 592 and the first K columns of a
// (B, L) table are a view. There are no other strides: every permutation that a ViT needs is fused into a kernel.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "kernels/core/dtype.h"

namespace kernels {

struct Shape {
  static constexpr int max_rank = 5;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    for (std::int64_t s : sizes) dims[static_cast<std::size_t>(rank++)] = s;
  }

  /// Size of dimension i; negative i counts from the end.
  std::int64_t operator[](int i) const { return dims[static_cast<std::size_t>(i < 0 ? rank + i : i)]; }
  std::int64_t count() const {
    std::int64_t n = rank > 0 ? 1 : 0;
    for (int i = 0; i < rank; ++i) n *= (*this)[i];
    return n;
  }
  std::int64_t cols() const { return rank > 0 ? (*this)[-1] : 0; }
  std::int64_t rows() const { return cols() > 0 ? count() / cols() : 0; }
  bool operator==(const Shape& other) const = default;

  int rank = 0;
  std::array<std::int64_t, max_rank> dims{};
};

/// "(64, 197, 768)"
std::string to_string(const Shape& shape);

struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape{};
  std::int64_t row_stride = 0;  // elements between consecutive rows

  /// False for the null view, which says "not given" for an input and "not wanted" for an output.
  explicit operator bool() const { return shape.rank > 0; }
  std::int64_t rows() const { return shape.rows(); }
  std::int64_t cols() const { return shape.cols(); }
  bool contiguous() const { return row_stride == cols(); }
  /// Bytes of the elements themselves, without the padding between rows.
  double bytes() const { return static_cast<double>(shape.count()) * static_cast<double>(size_of(dtype)); }

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  T* row(std::int64_t r) const {
    return static_cast<T*>(data) + r * row_stride;
  }
};

/// A view of contiguous rows, or of rows `row_stride` elements apart.
inline View view_of(void* data, DType dtype, const Shape& shape, std::int64_t row_stride = 0) {
  return {.data = data, .dtype = dtype, .shape = shape, .row_stride = row_stride > 0 ? row_stride : shape.cols()};
}

/// "f32 (64, 197, 768)", with the row stride where rows are padded
std::string to_string(const View& view);

}  // namespace kernels
