#include "mae/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/files.h"
#include "kernels/core/check.h"
#include "mae/image_codecs.h"

namespace mae {
namespace {

using kernels::DType;

bool starts_with(std::span<const std::byte> file, std::initializer_list<int> bytes) {
  return file.size() >= bytes.size() && std::equal(bytes.begin(), bytes.end(), file.begin(),
                                                   [](int a, std::byte b) { return a == std::to_integer<int>(b); });
}

/// Of either byte order, and BigTIFF.
bool is_tiff(std::span<const std::byte> file) {
  return starts_with(file, {'I', 'I', 42, 0}) || starts_with(file, {'M', 'M', 0, 42}) ||
         starts_with(file, {'I', 'I', 43, 0}) || starts_with(file, {'M', 'M', 0, 43});
}

/// The first `channels` of every pixel.
Image first_channels(const Image& image, int channels) {
  Image out = make_image(image.height, image.width, channels, image.dtype);
  const std::size_t from = static_cast<std::size_t>(image.channels) * size_of(image.dtype);
  const std::size_t to = static_cast<std::size_t>(channels) * size_of(image.dtype);
  const std::size_t count = image.pixels.size() / from;
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&out.pixels[i * to], &image.pixels[i * from], to);
  return out;
}

template <class T>
void replicate(const Image& grey, Image& out) {
  const std::size_t count = grey.pixels.size() / sizeof(T), channels = static_cast<std::size_t>(out.channels);
  for (std::size_t i = 0; i < count; ++i) std::fill_n(out.as<T>() + i * channels, channels, grey.as<T>()[i]);
}

std::uint8_t luma(const std::uint8_t* p) {
  return static_cast<std::uint8_t>((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
}
double luma_of(double r, double g, double b) { return 0.299 * r + 0.587 * g + 0.114 * b; }
std::uint16_t luma(const std::uint16_t* p) { return static_cast<std::uint16_t>(luma_of(p[0], p[1], p[2]) + 0.5); }
float luma(const float* p) { return static_cast<float>(luma_of(p[0], p[1], p[2])); }

template <class T>
void to_grey(const Image& colour, Image& out) {
  const std::size_t count = out.pixels.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) out.as<T>()[i] = luma(colour.as<T>() + 3 * i);
}

thread_local std::vector<std::byte> spare;

/// All bytes of a file; `bytes` is used again.
void read_bytes(const std::string& path, std::vector<std::byte>& bytes) {
  const engine::InputFile file(path);
  bytes.resize(file.size());
  file.read_at(0, bytes.data(), bytes.size());
}

}  // namespace

void recycle(Image image) {
  constexpr std::size_t most = std::size_t{64} << 20;  // one huge image must not cost every worker its size for good
  if (image.pixels.capacity() <= most) spare = std::move(image.pixels);
}

Image image_to_fill(int height, int width, int channels, DType dtype) {
  Image image{.height = height, .width = width, .channels = channels, .dtype = dtype, .pixels = std::move(spare)};
  image.pixels.resize(static_cast<std::size_t>(height) * row_bytes(image));
  return image;
}

Image make_image(int height, int width, int channels, DType dtype) {
  Image image{.height = height, .width = width, .channels = channels, .dtype = dtype, .pixels = {}};
  image.pixels.resize(static_cast<std::size_t>(height) * row_bytes(image));
  return image;
}

Image copy_of(const ImageView& view) {
  Image image{view.height, view.width, view.channels, view.dtype, {}};
  image.pixels.assign(view.pixels, view.pixels + view.bytes());
  return image;
}

Image upright(Image image) {
  const int o = std::exchange(image.orientation, 1);
  if (o <= 1 || o > 8) return image;
  const bool sides = o >= 5;  // exchanged
  Image out =
      make_image(sides ? image.width : image.height, sides ? image.height : image.width, image.channels, image.dtype);
  const std::size_t pixel = static_cast<std::size_t>(image.channels) * size_of(image.dtype);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      int from_y = sides ? x : y, from_x = sides ? y : x;
      if (o == 3 || o == 4 || o == 6 || o == 7) from_y = image.height - 1 - from_y;
      if (o == 2 || o == 3 || o == 7 || o == 8) from_x = image.width - 1 - from_x;
      std::memcpy(&out.pixels[static_cast<std::size_t>(y * out.width + x) * pixel],
                  &image.pixels[static_cast<std::size_t>(from_y * image.width + from_x) * pixel], pixel);
    }
  }
  return out;
}

Image with_channels(Image image, int channels, const std::string& where) {
  if (channels == 0 || channels == image.channels) return image;
  const bool known = (image.channels == 1 || (image.channels == 3 && channels == 1)) && channels <= max_channels;
  if (channels < 0 || !known) {
    throw kernels::Error(
        "has " + std::to_string(image.channels) + " channels, and " + std::to_string(channels) + " are wanted", where,
        "set the model's channels to what the data has");
  }
  Image out = make_image(image.height, image.width, channels, image.dtype);
  out.orientation = image.orientation;
  const auto convert = [&]<class T>(T) { image.channels == 1 ? replicate<T>(image, out) : to_grey<T>(image, out); };
  switch (image.dtype) {
    case DType::u8:
      convert(std::uint8_t{});
      break;
    case DType::u16:
      convert(std::uint16_t{});
      break;
    default:
      convert(float{});
      break;
  }
  return out;
}

Image decode_image(std::span<const std::byte> file, const std::string& where, int channels) {
  if (starts_with(file, {0xff, 0xd8, 0xff})) return with_channels(decode_jpeg(file, where, channels), channels, where);
  if (starts_with(file, {0x93, 'N', 'U', 'M', 'P', 'Y'}))
    return with_channels(decode_npy(file, where), channels, where);
  if (is_tiff(file)) return with_channels(decode_tiff(file, where, channels), channels, where);
  if (!starts_with(file, {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'})) {
    throw kernels::Error(file.empty() ? "is empty" : "is neither JPEG, PNG, TIFF nor .npy", where,
                         "convert it to PNG, or remove it");
  }
  Image image = decode_png(file, where);
  const bool alpha = image.channels == 2 || image.channels == 4;
  if (alpha && image.channels != channels) image = first_channels(image, image.channels - 1);
  return with_channels(std::move(image), channels, where);
}

Image read_image(const std::string& path, int channels) {
  thread_local std::vector<std::byte> file;
  read_bytes(path, file);
  return decode_image(file, path, channels);
}

std::vector<std::byte> read_bytes(const std::string& path) {
  std::vector<std::byte> bytes;
  read_bytes(path, bytes);
  return bytes;
}

void write_png(const std::string& path, const Image& image) {
  if (image.dtype != DType::u8 || (image.channels != 1 && image.channels != 3)) {
    throw kernels::Error("PNG is written for u8 images of 1 or 3 channels, not " + std::string(name_of(image.dtype)) +
                             " of " + std::to_string(image.channels),
                         path, "convert the image first");
  }
  const std::vector<std::byte> bytes = encode_png(image);
  engine::write_atomically(
      path, [&](engine::FileWriter& file) { file.write(bytes.data(), bytes.size()); }, bytes.size());
}

}  // namespace mae
