// The decoders behind image.h, one .cpp each, so that only that file sees the library's header.
#pragma once

#include "mae/image.h"

namespace mae {

/// What a JPEG, PNG or TIFF may not be. Below it, each of them also holds the size in its header against its bytes, so
/// that a small damaged file cannot ask for the memory of a large picture.
inline bool too_large(std::int64_t height, std::int64_t width) {
  return height > max_side || width > max_side || height * width > max_area;
}

/// An image of these sizes with any pixels, in memory that was recycled.
Image image_to_fill(int height, int width, int channels, kernels::DType dtype);

/// Grey files give 1 channel, or 3 where 3 are wanted; all others (also CMYK) 3.
Image decode_jpeg(std::span<const std::byte> file, const std::string& where, int channels = 0);

/// 1 to 4 channels, as the file has them; palettes are expanded.
Image decode_png(std::span<const std::byte> file, const std::string& where);

/// The array's shape and type.
Image decode_npy(std::span<const std::byte> file, const std::string& where);

/// The samples that the file has, without alpha where `channels` are not just as many; palettes are expanded, white as
/// 0 is turned. The first picture of a file with several.
Image decode_tiff(std::span<const std::byte> file, const std::string& where, int channels = 0);

/// Whether all of these f32 are numbers.
bool all_finite(std::span<const std::byte> floats);

/// Calls append(context, data, size) with the bytes of a PNG file, piece by piece. False where there is no memory.
bool compress_png(void (*append)(void*, void*, int), void* context, int width, int height, int channels,
                  const void* pixels, int row_bytes);

/// Bytes of a PNG file of a u8 image with 1 or 3 channels.
std::vector<std::byte> encode_png(const Image& image);

}  // namespace mae
