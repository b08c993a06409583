// Small IDX files of made-up images, for tests that run the program itself.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>

namespace test {

inline void big_endian(std::ofstream& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>(value >> shift));
}

/// DIR/train-images-idx3-ubyte and its labels (and t10k-*): n smooth images of side x side.
inline void write_idx(const std::string& folder, const std::string& split, std::uint32_t n, std::uint32_t side) {
  std::ofstream images(folder + "/" + split + "-images-idx3-ubyte", std::ios::binary),
      labels(folder + "/" + split + "-labels-idx1-ubyte", std::ios::binary);
  for (std::uint32_t v : {0x00000803u, n, side, side}) big_endian(images, v);
  for (std::uint32_t v : {0x00000801u, n}) big_endian(labels, v);
  for (std::uint32_t i = 0; i < n; ++i) {
    const int label = static_cast<int>(i % 10);
    for (std::uint32_t y = 0; y < side; ++y) {
      for (std::uint32_t x = 0; x < side; ++x) {
        const double value = std::sin(0.1 * (label + 1) * x + 0.3 * y + 0.7 * i);
        images.put(static_cast<char>(static_cast<int>(127 + 120 * value)));
      }
    }
    labels.put(static_cast<char>(label));
  }
}

/// Images of f32, smooth, all finite but for a NaN in each of `bad`.
inline void write_float_idx(const std::string& folder, std::uint32_t n, std::uint32_t side,
                            const std::set<std::uint32_t>& bad) {
  std::ofstream images(folder + "/train-images-idx3-float", std::ios::binary);
  for (std::uint32_t v : {0x00000d03u, n, side, side}) big_endian(images, v);
  for (std::uint32_t i = 0; i < n; ++i) {
    for (std::uint32_t p = 0; p < side * side; ++p) {
      const auto value = static_cast<float>(0.5 + 0.4 * std::sin(0.2 * p + i));
      big_endian(images, p == 17 && bad.contains(i) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value));
    }
  }
}

}  // namespace test
