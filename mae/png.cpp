// PNG by stb_image and stb_image_write, of which this is the only file, and mae/stb_image_write.cpp, to see them. The
// other decoders stay out of the build: Debian's stb_image 2.27 writes out of bounds in the JPEG one, and takes cut
// files in the simple formats for whole ones.
#include <zlib.h>

#include <memory>

#include "kernels/core/check.h"
#include "mae/image_codecs.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS (1 << 14)
#include <stb/stb_image.h>

namespace mae {
namespace {

static_assert(STBI_MAX_DIMENSIONS == max_side);

constexpr const char* replace_it = "replace the file, or remove it from the data";
constexpr std::size_t most_from_a_byte = 1032;  // what deflate makes of one

std::uint32_t big_endian(const unsigned char* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

/// Whether every chunk up to IEND is there and has the checksum that it carries, and the first IDAT is not empty:
/// stb_image would copy its no bytes to a null pointer.
bool chunks_are_whole(const unsigned char* data, std::size_t size) {
  bool begun = false;  // an IDAT was seen
  std::size_t at = 8;  // the signature
  while (size - at >= 12) {
    const std::size_t length = big_endian(data + at);
    if (length > size - at - 12) return false;
    const auto sum = crc32(0, data + at + 4, static_cast<uInt>(length + 4));
    if (sum != big_endian(data + at + 8 + length)) return false;
    const std::uint32_t type = big_endian(data + at + 4);
    if (type == 0x49454e44u) return true;  // "IEND"
    if (type == 0x49444154u && length == 0 && !begun) return false;
    begun = begun || type == 0x49444154u;  // "IDAT"
    at += length + 12;
  }
  return false;
}

/// Refuses a picture that is too large for us, or for its file. stb_image asks for the memory before it looks.
void check_header(const unsigned char* data, std::size_t size, const std::string& where) {
  constexpr std::size_t samples[] = {1, 0, 3, 1, 2, 0, 4};  // of a pixel, by colour type
  const unsigned char* header = data + 16;                  // width, height, bits of a sample, colour type
  if (size < 33 || big_endian(data + 12) != 0x49484452u || header[9] >= std::size(samples))  // "IHDR"
    throw kernels::Error("cut or damaged PNG: it does not begin with a header", where, replace_it);
  const std::size_t width = big_endian(header), height = big_endian(header + 4);
  if (too_large(static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)))
    throw kernels::Error("PNG of " + std::to_string(width) + " x " + std::to_string(height) + " pixels, too many",
                         where, "make it smaller");
  if (height * (width * samples[header[9]] * header[8] / 8) > most_from_a_byte * size)
    throw kernels::Error("cut or damaged PNG: " + std::to_string(size) + " bytes cannot hold " + std::to_string(width) +
                             " x " + std::to_string(height) + " pixels",
                         where, replace_it);
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const std::string& where) {
  const auto* data = reinterpret_cast<const unsigned char*>(file.data());
  if (file.size() > std::size_t{1} << 30) throw kernels::Error("PNG of more than 1 GiB", where, replace_it);
  if (file.size() < 8 || !chunks_are_whole(data, file.size())) {
    throw kernels::Error("cut or damaged PNG", where, replace_it);
  }
  check_header(data, file.size(), where);
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
  if (!compress_png(append, &bytes, image.width, image.height, image.channels, image.pixels.data(),
                    static_cast<int>(row_bytes(image)))) {
    throw kernels::Error("no memory to encode a PNG of " + std::to_string(image.width) + " x " +
                         std::to_string(image.height));
  }
  return bytes;
}

}  // namespace mae
