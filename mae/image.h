// Images in memory, decoded from JPEG, PNG, TIFF and .npy and encoded as PNG.
//
// A file's kind is told by its first bytes, never by its name. JPEG goes through libjpeg-turbo, PNG through stb_image
// after the checksums of all its chunks were checked (stb_image checks none), TIFF through libtiff, .npy through a
// reader of our own. Nothing else is read. Anything that a decoder only warns about is refused: a cut photograph must not
// become training data without a word. Orientation tags of JPEG and TIFF are read, and applied by upright alone. Decoding is
// safe to call from many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/dtype.h"

namespace mae {

inline constexpr int max_channels = 64;
inline constexpr int max_side = 1 << 14;           // larger pictures are refused before memory is asked for,
inline constexpr std::int64_t max_area = 1 << 27;  // and JPEG, PNG and TIFF files of more pixels

struct Image {
  int height = 0, width = 0, channels = 0;
  kernels::DType dtype = kernels::DType::u8;  // u8, u16 or f32
  std::vector<std::byte> pixels;              // (height, width, channels)
  int orientation = 1;  // how a JPEG or TIFF asks to be turned for display, tag 0x0112: 1 not at all, 2 to 8 see
                        // upright

  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(pixels.data());
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(pixels.data());
  }
};

/// The same where the pixels lie elsewhere: in an Image, or in a file that is mapped into memory.
struct ImageView {
  int height = 0, width = 0, channels = 0;
  kernels::DType dtype = kernels::DType::u8;
  const std::byte* pixels = nullptr;  // (height, width, channels)

  std::size_t bytes() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels) *
           size_of(dtype);
  }
};

inline ImageView view_of(const Image& image) {
  return {image.height, image.width, image.channels, image.dtype, image.pixels.data()};
}

/// Pixels of u8 that are changed where they lie.
struct Editable {
  int height = 0, width = 0, channels = 0;
  std::uint8_t* pixels = nullptr;  // (height, width, channels)

  std::size_t bytes() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
  }
};

/// Of an image of u8.
inline Editable editable(Image& image) {
  return {image.height, image.width, image.channels, image.as<std::uint8_t>()};
}

/// Calls f with the pixels as a span of their type.
template <class F>
auto with_pixels(const ImageView& image, F&& f) {
  const auto span = [&]<class T>(T) {
    return std::span(reinterpret_cast<const T*>(image.pixels), image.bytes() / sizeof(T));
  };
  if (image.dtype == kernels::DType::u8) return f(span(std::uint8_t{}));
  if (image.dtype == kernels::DType::u16) return f(span(std::uint16_t{}));
  return f(span(float{}));
}
template <class F>
auto with_pixels(const Image& image, F&& f) {
  return with_pixels(view_of(image), std::forward<F>(f));
}

/// An image of these sizes, all zero.
Image make_image(int height, int width, int channels, kernels::DType dtype);

Image copy_of(const ImageView& view);

/// Hands the memory of an image that is done with to the next JPEG that this thread decodes: new memory would have to
/// be cleared, and its pages fetched from the system one by one.
void recycle(Image image);

/// Bytes of one pixel row of all channels.
inline std::size_t row_bytes(const Image& image) {
  return static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels) * size_of(image.dtype);
}

/// Decodes a file that lies in memory; `where` names it in errors. 8-bit files give u8, 16-bit PNG and TIFF u16.
/// channels 0 keeps what the file has (grey 1, colour 3); otherwise as `with_channels`. Alpha is dropped unless as many
/// channels are asked for as the file has. Throws kernels::Error for damaged and unknown files.
Image decode_image(std::span<const std::byte> file, const std::string& where, int channels = 0);
Image read_image(const std::string& path, int channels = 0);

/// The image turned and mirrored as its orientation asks: 2 mirrored, 3 by 180 degrees, 4 upside down, 5 transposed,
/// 6 clockwise, 7 transposed along the other diagonal, 8 counterclockwise. Its orientation is 1 afterwards.
Image upright(Image image);

/// Grey becomes `channels` equal channels; three channels become grey by ITU-R 601 (0.299 R + 0.587 G + 0.114 B, for u8
/// in the 16-bit fixed point of Pillow's mode "L"). Every other change is refused with an error that names `where`.
Image with_channels(Image image, int channels, const std::string& where);

/// Writes u8 images of 1 or 3 channels. A reader sees the old file or the whole new one, never a part.
void write_png(const std::string& path, const Image& image);

/// All bytes of a file.
std::vector<std::byte> read_bytes(const std::string& path);

}  // namespace mae
