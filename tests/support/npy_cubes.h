// Data sets of .npy images that look like a satellite's: each channel with a mean of its own.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/npy_file.h"

namespace support {

/// DIR/0.npy, ...: `count` smooth images of side x side; value = level (1 + channel / 8) (1 + wave / 2).
template <class T>
void write_cubes(const std::string& folder, int count, int side, int channels, const std::string& descr, double level) {
  std::filesystem::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    std::string elements;
    for (int p = 0; p < side * side; ++p) {
      for (int c = 0; c < channels; ++c) {
        const double wave = std::sin(0.3 * (p % side) + 0.2 * (p / side) + i + c);
        const auto value = static_cast<T>(level * (1 + c / 8.0) * (1 + wave / 2));
        char bytes[sizeof(T)];
        std::memcpy(bytes, &value, sizeof(T));
        elements.append(bytes, sizeof(T));
      }
    }
    const std::string side_text = std::to_string(side);
    const std::string shape = "(" + side_text + ", " + side_text + ", " + std::to_string(channels) + ")";
    std::ofstream(folder + "/" + std::to_string(i) + ".npy", std::ios::binary)
        << npy(dictionary(descr, shape), elements);
  }
}

}  // namespace support
