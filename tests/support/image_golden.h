// Reads the binary files of tests/golden, front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace support {

class Golden {
 public:
  explicit Golden(const std::string& name) {
    std::ifstream in(std::string(MAE_SOURCE_DIR "/tests/golden/") + name, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read tests/golden/" + name);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    bytes_.resize(text.size());
    std::memcpy(bytes_.data(), text.data(), text.size());
  }

  std::int32_t number() {
    std::int32_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size() - at_) throw std::runtime_error("golden file ends early");
    at_ += count;
    return std::span(bytes_).subspan(at_ - count, count);
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace support
