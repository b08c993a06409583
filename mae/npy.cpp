// .npy, the array file of NumPy: "\x93NUMPY", version, length of the header (u16, from version 2.0 u32), a header that
// is a Python dictionary such as {'descr': '<u2', 'fortran_order': False, 'shape': (224, 224, 13), }, the elements.
// Read are (height, width) and (height, width, channels) of u8, little-endian u16 and f32.
#include <algorithm>
#include <cstring>

#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/image_codecs.h"

namespace mae {
namespace {

using kernels::DType;

constexpr std::size_t prefix = 8, largest_header = 1 << 16;

struct Header {
  std::string descr;
  bool fortran = false;
  std::vector<std::int64_t> shape;
};

/// Reads the dictionary's three entries, in any order; nothing else may stand there.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Header read() {
    Header header;
    int seen = 0;
    take('{');
    while (!peek('}')) {
      const std::string key = quoted();
      take(':');
      if (key == "descr") header.descr = quoted(), seen |= 1;
      else if (key == "fortran_order") header.fortran = truth(), seen |= 2;
      else if (key == "shape") header.shape = numbers(), seen |= 4;
      else refuse();
      if (peek(',')) take(',');
    }
    take('}');
    skip();
    if (at_ != text_.size() || seen != 7) refuse();
    return header;
  }

 private:
  [[noreturn]] void refuse() const {
    throw kernels::Error("damaged .npy file: its header cannot be read", where_, "write it again with numpy.save");
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool peek(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  void take(char c) {
    if (!peek(c)) refuse();
    ++at_;
  }
  std::string quoted() {
    take('\'');
    const std::size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) refuse();
    const std::string inside(text_.substr(at_, end - at_));
    at_ = end + 1;
    return inside;
  }
  bool truth() {
    skip();
    for (const char* word : {"True", "False"}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += std::strlen(word);
      return word[0] == 'T';
    }
    refuse();
  }
  std::vector<std::int64_t> numbers() {
    std::vector<std::int64_t> list;
    take('(');
    while (!peek(')')) {
      const std::size_t end = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
      const auto number = engine::parse_number<std::int64_t>(text_.substr(at_, end - at_));
      if (!number || list.size() == 8) refuse();
      list.push_back(*number);
      at_ = end;
      if (peek(',')) take(',');
    }
    take(')');
    return list;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

DType type_of(const std::string& descr, const std::string& where) {
  if (descr == "|u1" || descr == "<u1") return DType::u8;
  if (descr == "<u2") return DType::u16;
  if (descr == "<f4") return DType::f32;
  throw kernels::Error("holds elements of type '" + descr.substr(0, 20) + "'; u8, little-endian u16 and f32 are read",
                       where, "array.astype(\"uint8\"), \"<u2\" or \"<f4\", before numpy.save");
}

}  // namespace

bool all_finite(std::span<const std::byte> floats) {
  for (std::size_t i = 0; i < floats.size(); i += 4) {
    std::uint32_t bits;
    std::memcpy(&bits, &floats[i], 4);
    if ((bits & 0x7f800000u) == 0x7f800000u) return false;
  }
  return true;
}

Image decode_npy(std::span<const std::byte> file, const std::string& where) {
  const auto damaged = [&](const std::string& what) {
    throw kernels::Error("cut or damaged .npy file: " + what, where, "write it again with numpy.save");
  };
  if (file.size() < prefix + 4) damaged("too few bytes for a header");
  const int version = std::to_integer<int>(file[6]);
  if (version < 1 || version > 3) damaged("its version is " + std::to_string(version) + ", 1 to 3 are read");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= std::to_integer<std::size_t>(file[prefix + i]) << (8 * i);
  const std::size_t begin = prefix + length_bytes;
  if (length > largest_header || length > file.size() - begin) damaged("its header does not fit");
  const Header header = HeaderReader({reinterpret_cast<const char*>(file.data()) + begin, length}, where).read();

  const DType dtype = type_of(header.descr, where);
  const std::vector<std::int64_t>& shape = header.shape;
  const std::int64_t channels = shape.size() == 3 ? shape[2] : 1;
  const bool image = (shape.size() == 2 || shape.size() == 3) && shape[0] >= 1 && shape[0] <= max_side &&
                     shape[1] >= 1 && shape[1] <= max_side && channels >= 1 && channels <= max_channels;
  if (header.fortran || !image) {
    throw kernels::Error(
        header.fortran ? "is in Fortran order"
                       : "is no image: (height, width) or (height, width, channels) are read, with sides of 1 to " +
                             std::to_string(max_side),
        where, "numpy.ascontiguousarray of such a shape, with at most 64 channels, before numpy.save");
  }
  const std::size_t bytes =
      static_cast<std::size_t>(shape[0] * shape[1] * channels) * kernels::size_of(dtype);  // below 2^36: no overflow
  const std::size_t data = begin + length;
  if (file.size() - data != bytes) {
    damaged("its header promises " + std::to_string(bytes) + " bytes of elements, it has " +
            std::to_string(file.size() - data));
  }
  Image result = make_image(static_cast<int>(shape[0]), static_cast<int>(shape[1]), static_cast<int>(channels), dtype);
  std::copy(file.begin() + static_cast<std::ptrdiff_t>(data), file.end(), result.pixels.begin());
  if (dtype == DType::f32 && !all_finite(result.pixels)) {
    throw kernels::Error("holds values that are not finite", where, "numpy.nan_to_num, or leave the file out");
  }
  return result;
}

}  // namespace mae
