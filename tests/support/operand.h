// Memory of one view for tests, and what tests do with its values.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/philox.h"
#include "kernels/core/sanitizer.h"
#include "kernels/core/stream.h"
#include "kernels/core/view.h"

namespace test {

using namespace kernels;

/// Host and device memory of one view, with guard bands before and after. `shift`: elements by which it starts behind
/// an aligned address. From upload to download the bands are out of bounds for the address sanitizer, where it can see
/// the device's memory: a kernel must not read them either.
class Operand {
 public:
  Operand(const Device& device, View shape, std::size_t shift = 0)
      : device_(device), view_(shape), bytes_(storage_bytes(shape)), front_(guard + shift * size_of(shape.dtype)) {
    host_.resize(front_ + bytes_ + guard, std::byte{0xa5});
    memory_ = std::shared_ptr<void>(allocate(device, host_.size()), [device](void* p) { release(device, p); });
    view_.data = static_cast<std::byte*>(memory_.get()) + front_;
  }
  const View& view() const { return view_; }
  View host_view() {
    View v = view_;
    v.data = host_.data() + front_;
    return v;
  }
  void upload(Stream& stream) {
    guards(allow);
    stream.copy(memory_.get(), host_.data(), host_.size()), stream.synchronize();
    guards(forbid);
  }
  void download(Stream& stream) {
    guards(allow);
    stream.copy(host_.data(), memory_.get(), host_.size()), stream.synchronize();
  }
  bool guards_untouched() const {
    for (std::size_t i = 0; i < guard; ++i) {
      if (host_[i] != std::byte{0xa5} || host_[host_.size() - 1 - i] != std::byte{0xa5}) return false;
    }
    return true;
  }
  /// The bytes between the rows, where their stride is longer than they are, are as in `before`.
  bool padding_untouched(const std::vector<std::byte>& before) const {
    const std::size_t element = size_of(view_.dtype), used = static_cast<std::size_t>(view_.cols()) * element,
                      stride = static_cast<std::size_t>(view_.row_stride) * element;
    for (std::size_t row = front_; row + stride <= front_ + bytes_; row += stride) {
      if (std::memcmp(host_.data() + row + used, before.data() + row + used, stride - used) != 0) return false;
    }
    return true;
  }
  const std::vector<std::byte>& bits() const { return host_; }
  void set_bits(const std::vector<std::byte>& bits) { host_ = bits; }

  static constexpr std::size_t guard = 512;

 private:
  void guards(void (*what)(const void*, std::size_t)) const {
    if (device_.kind == DeviceKind::cuda) return;
    const auto* memory = static_cast<const std::byte*>(memory_.get());
    what(memory, front_);
    what(memory + front_ + bytes_, guard);
  }
  static std::size_t storage_bytes(const View& v) {
    return static_cast<std::size_t>(v.rows() * v.row_stride) * size_of(v.dtype);
  }
  Device device_;
  View view_;
  std::size_t bytes_, front_;
  std::vector<std::byte> host_;
  std::shared_ptr<void> memory_;
};

inline double get(const View& v, std::int64_t r, std::int64_t c) {
  switch (v.dtype) {
    case DType::f64:
      return v.row<double>(r)[c];
    case DType::f32:
      return v.row<float>(r)[c];
    case DType::bf16:
      return v.row<bf16>(r)[c];
    case DType::i32:
      return v.row<std::int32_t>(r)[c];
    case DType::u32:
      return v.row<std::uint32_t>(r)[c];
    case DType::u16:
      return v.row<std::uint16_t>(r)[c];
    case DType::u8:
      return v.row<std::uint8_t>(r)[c];
  }
  return 0;
}

inline void set(const View& v, std::int64_t r, std::int64_t c, double value) {
  switch (v.dtype) {
    case DType::f64:
      v.row<double>(r)[c] = value;
      break;
    case DType::f32:
      v.row<float>(r)[c] = static_cast<float>(value);
      break;
    case DType::bf16:
      v.row<bf16>(r)[c] = bf16(value);
      break;
    case DType::i32:
      v.row<std::int32_t>(r)[c] = static_cast<std::int32_t>(value);
      break;
    case DType::u32:
      v.row<std::uint32_t>(r)[c] = static_cast<std::uint32_t>(value);
      break;
    case DType::u16:
      v.row<std::uint16_t>(r)[c] = static_cast<std::uint16_t>(value);
      break;
    case DType::u8:
      v.row<std::uint8_t>(r)[c] = static_cast<std::uint8_t>(value);
      break;
  }
}

inline void copy_values(const View& from, const View& to) {
  for (std::int64_t r = 0; r < from.rows(); ++r) {
    for (std::int64_t c = 0; c < from.cols(); ++c) set(to, r, c, get(from, r, c));
  }
}

/// N(0, 1) values (Box-Muller on Philox) for floating views, uniform integers of the type for the others.
inline void fill_random(const View& v, std::uint32_t stream, double mean = 0.0, double deviation = 1.0) {
  const PhiloxKey key{.seed = stream, .purpose = static_cast<std::uint32_t>(Purpose::test)};
  for (std::int64_t r = 0; r < v.rows(); ++r) {
    for (std::int64_t c = 0; c < v.cols(); ++c) {
      const auto i = static_cast<std::uint32_t>(r * v.cols() + c);
      const PhiloxWords w = philox({.block = i, .subindex = 0, .sample = 0, .time = 0}, key);
      const double normal =
          std::sqrt(-2 * std::log(1 - uniform(w.w[0]))) * std::cos(6.283185307179586 * uniform(w.w[1]));
      set(v, r, c, is_floating(v.dtype) ? mean + deviation * normal : w.w[2] % 200);
    }
  }
}

inline bool any_nan(const View& v) {
  for (std::int64_t r = 0; r < v.rows(); ++r) {
    for (std::int64_t c = 0; c < v.cols(); ++c) {
      if (std::isnan(get(v, r, c))) return true;
    }
  }
  return false;
}

/// norm(a - b) / norm(b); NaN counts as infinite; where b is all zero, norm(a)
inline double relative_error(const View& a, const View& b) {
  double difference = 0, size = 0;
  for (std::int64_t r = 0; r < a.rows(); ++r) {
    for (std::int64_t c = 0; c < a.cols(); ++c) {
      const double x = get(a, r, c), y = get(b, r, c);
      if (std::isnan(x) || std::isnan(y)) return INFINITY;
      difference += (x - y) * (x - y);
      size += y * y;
    }
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

}  // namespace test
