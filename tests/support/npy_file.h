// .npy files as NumPy writes them.
#pragma once

#include <string>

namespace support {

/// A whole file.
inline std::string npy(const std::string& dictionary, const std::string& elements, int version = 1) {
  const std::string header = dictionary + "\n";
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return text + header + elements;
}

inline std::string dictionary(const std::string& descr, const std::string& shape,
                              const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

}  // namespace support
