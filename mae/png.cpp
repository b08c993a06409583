// PNG by stb_image and stb_image_write. This is the only file that sees them. The other decoders stay out of the build:
// Debian's stb_image 2.27 writes out of bounds in the JPEG one, and takes cut files in the simple formats for whole
// ones.
#include <zlib.h>

#include <memory>

#include "kernels/core/check.h"
#include "mae/image_codecs.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 14)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

namespace mae {
namespace {

static_assert(STBI_MAX_DIMENSIONS == max_side);

constexpr const char* replace_it = "replace the file, or remove it from the data";

std::uint32_t big_endian(const unsigned char* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

/// Whether every chunk up to IEND is there and has the checksum that it carries.
bool chunks_are_whole(const unsigned char* data, std::size_t size) {
  std::size_t at = 8;  // the signature
  while (size - at >= 12) {
    const std::size_t length = big_endian(data + at);
    if (length > size - at - 12) return false;
    const auto sum = crc32(0, data + at + 4, static_cast<uInt>(length + 4));
    if (sum != big_endian(data + at + 8 + length)) return false;
    if (big_endian(data + at + 4) == 0x49454e44u) return true;  // "IEND"
    at += length + 12;
  }
  return false;
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const std::string& where) {
  const auto* data = reinterpret_cast<const unsigned char*>(file.data());
  if (file.size() > std::size_t{1} << 30) throw kernels::Error("PNG of more than 1 GiB", where, replace_it);
  if (file.size() < 8 || !chunks_are_whole(data, file.size())) {
    throw kernels::Error("cut or damaged PNG", where, replace_it);
  }
  const int size = static_cast<int>(file.size());
  int width = 0, height = 0, channels = 0;
  const bool wide = stbi_is_16_bit_from_memory(data, size) != 0;
  void* decoded = nullptr;
  if (wide) decoded = stbi_load_16_from_memory(data, size, &width, &height, &channels, 0);
  else decoded = stbi_load_from_memory(data, size, &width, &height, &channels, 0);
  const std::unique_ptr<void, void (*)(void*)> pixels(decoded, stbi_image_free);
  if (!pixels) throw kernels::Error(std::string("cut or damaged PNG: ") + stbi_failure_reason(), where, replace_it);
  Image image{.height = height,
              .width = width,
              .channels = channels,
              .dtype = wide ? kernels::DType::u16 : kernels::DType::u8,
              .pixels = {}};
  const auto* bytes = static_cast<const std::byte*>(pixels.get());
  image.pixels.assign(bytes, bytes + static_cast<std::size_t>(height) * row_bytes(image));
  return image;
}

std::vector<std::byte> encode_png(const Image& image) {
  std::vector<std::byte> bytes;
  const auto append = [](void* context, void* data, int size) {
    const auto* from = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(context)->insert(static_cast<std::vector<std::byte>*>(context)->end(), from,
                                                          from + size);
  };
  if (stbi_write_png_to_func(append, &bytes, image.width, image.height, image.channels, image.pixels.data(),
                             static_cast<int>(row_bytes(image))) == 0) {
    throw kernels::Error("no memory to encode a PNG of " + std::to_string(image.width) + " x " +
                         std::to_string(image.height));
  }
  return bytes;
}

}  // namespace mae
