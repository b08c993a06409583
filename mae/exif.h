// How a camera says that a picture is to be turned: EXIF tag 0x0112 (Exif 2.32, section 4.6.4) inside a JPEG.
//
//   APP1:  "Exif" 0 0, then a TIFF file: "II" or "MM" for its byte order, 42, the offset of the first directory;
//          a directory: a count, then entries of 12 bytes: tag, type, count, value
#pragma once

#include <cstddef>
#include <span>

namespace mae {

/// Whether an APP1 segment is EXIF's: others hold XMP.
bool is_exif(std::span<const std::byte> app1);

/// 1 to 8, see upright in image.h; 1 where the tag is absent, is no orientation, or lies in a block that is cut or
/// damaged: a picture is none the worse for it.
int exif_orientation(std::span<const std::byte> app1);

}  // namespace mae
