// The decoders behind image.h, one .cpp each, so that only that file sees the library's header.
#pragma once

#include "mae/image.h"

namespace mae {

/// Grey files give 1 channel, all others (also CMYK) 3.
Image decode_jpeg(std::span<const std::byte> file, const std::string& where);

/// 1 to 4 channels, as the file has them; palettes are expanded.
Image decode_png(std::span<const std::byte> file, const std::string& where);

/// The array's shape and type.
Image decode_npy(std::span<const std::byte> file, const std::string& where);

/// Bytes of a PNG file of a u8 image with 1 or 3 channels.
std::vector<std::byte> encode_png(const Image& image);

}  // namespace mae
