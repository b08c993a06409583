// TIFF by libtiff: the first picture of a file, in strips or tiles, its channels side by side or in planes.
#include "kernels/core/check.h"
#include "mae/image_codecs.h"

#ifdef MAE_WITH_TIFF
#include <tiffio.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

namespace mae {
namespace {

using kernels::DType;

/// Bytes of samples that a byte of the file can hold: no compression of photographs makes more of it, and a small
/// damaged file cannot ask for much memory.
std::size_t most_from_a_byte(int compression) {
  if (compression == COMPRESSION_NONE) return 1;
  if (compression == COMPRESSION_PACKBITS) return 64;  // two bytes for up to 128
  if (compression == COMPRESSION_DEFLATE || compression == COMPRESSION_ADOBE_DEFLATE) return 1032;
  return 4096;
}
constexpr std::size_t most_of_a_block = std::size_t{16} << 20;  // bytes of a tile or strip beyond those of the image

/// A file that lies in memory, and libtiff's first complaint of it.
struct Source {
  std::span<const std::byte> file;
  std::size_t at = 0;
  std::string fault;
  bool reading = false;  // the pixels, of which a warning says that they are not whole; before, it is of tags
};
Source& source_of(thandle_t handle) { return *static_cast<Source*>(handle); }

tmsize_t read_some(thandle_t handle, void* to, tmsize_t wanted) {
  Source& s = source_of(handle);
  const std::size_t count = std::min(static_cast<std::size_t>(wanted), s.file.size() - std::min(s.at, s.file.size()));
  if (count > 0) std::memcpy(to, &s.file[s.at], count);
  s.at += count;
  return static_cast<tmsize_t>(count);
}
tmsize_t write_none(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Source& s = source_of(handle);
  if (whence == SEEK_SET) s.at = offset;
  if (whence == SEEK_CUR) s.at += offset;
  if (whence == SEEK_END) s.at = s.file.size() + offset;
  return s.at;
}
int close_nothing(thandle_t) { return 0; }
toff_t size_of_file(thandle_t handle) { return source_of(handle).file.size(); }
int map_file(thandle_t handle, void** base, toff_t* size) {
  *base = const_cast<std::byte*>(source_of(handle).file.data());  // libtiff only reads what it maps
  *size = source_of(handle).file.size();
  return 1;
}
void unmap_nothing(thandle_t, void*, toff_t) {}

void note(Source& s, const char* format, va_list values) {
  if (!s.fault.empty()) return;
  char text[256];
  std::vsnprintf(text, sizeof text, format, values);
  s.fault = text;
}
int on_error(TIFF*, void* source, const char*, const char* format, va_list values) {
  note(*static_cast<Source*>(source), format, values);
  return 1;
}
int on_warning(TIFF*, void* source, const char*, const char* format, va_list values) {
  Source& s = *static_cast<Source*>(source);
  if (s.reading) note(s, format, values);
  return 1;
}

using Handle = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

Handle open(Source& source) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &source);
  TIFFOpenOptionsSetMaxSingleMemAlloc(
      options.get(), static_cast<tmsize_t>(most_from_a_byte(0) * source.file.size() + most_of_a_block));
  return {TIFFClientOpenExt("a file in memory", "r", &source, read_some, write_none, seek, close_nothing, size_of_file,
                            map_file, unmap_nothing, options.get()),
          TIFFClose};
}

template <class T>
T field(TIFF* tiff, std::uint32_t tag) {
  T value{};
  TIFFGetFieldDefaulted(tiff, tag, &value);
  return value;
}

/// How the pixels are stored.
struct Layout {
  std::size_t height, width, samples;  // of a pixel
  std::size_t colours;                 // without alpha
  DType dtype;
  int photometric;
  bool planes, tiles;

  std::size_t sample() const { return kernels::size_of(dtype); }
  std::size_t parts() const { return planes ? samples : 1; }
  std::size_t pixel() const { return (planes ? 1 : samples) * sample(); }  // bytes, in a part
};

std::size_t alphas(TIFF* tiff) {
  std::uint16_t count = 0;
  std::uint16_t* kinds = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds);
  return count > 0 && kinds[count - 1] != EXTRASAMPLE_UNSPECIFIED ? 1 : 0;
}

/// What is wrong with it; empty: nothing.
std::string unknown_kind(TIFF* tiff, const Layout& l) {
  const int bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE),
            format = field<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT),
            compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION);
  const bool whole = format == SAMPLEFORMAT_UINT && (bits == 8 || bits == 16);
  if (!whole && !(format == SAMPLEFORMAT_IEEEFP && bits == 32))
    return "TIFF of samples of " + std::to_string(bits) +
           " bits that are not unsigned numbers of 8 or 16 bits, nor floats of 32";
  if (!TIFFIsCODECConfigured(static_cast<std::uint16_t>(compression)))
    return "TIFF whose compression " + std::to_string(compression) + " this machine's libtiff cannot read";
  const bool one = l.colours == 1;
  const bool known = l.photometric == PHOTOMETRIC_MINISBLACK || l.photometric == PHOTOMETRIC_RGB ||
                     (l.photometric == PHOTOMETRIC_MINISWHITE && whole && one) ||
                     (l.photometric == PHOTOMETRIC_PALETTE && bits == 8 && l.samples == 1) ||
                     (l.photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG);
  if (!known) return "TIFF whose colours are of kind " + std::to_string(l.photometric) + ", not grey, RGB or a palette";
  return {};
}

/// A file may leave it out.
int photometric_of(TIFF* tiff, std::size_t samples) {
  std::uint16_t kind = 0;
  if (TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &kind) == 1) return kind;
  return samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
}

Layout layout_of(TIFF* tiff, std::size_t file_bytes, const std::string& where) {
  constexpr const char* convert_it = "convert it to RGB or grey of 8 or 16 bits, or remove it from the data";
  const auto samples = std::size_t{field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL)};
  const int bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE);
  const std::size_t alpha = alphas(tiff);
  const Layout l{.height = field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH),
                 .width = field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH),
                 .samples = samples,
                 .colours = samples > alpha ? samples - alpha : samples,
                 .dtype = bits == 8    ? DType::u8
                          : bits == 16 ? DType::u16
                                       : DType::f32,
                 .photometric = photometric_of(tiff, samples),
                 .planes = field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE,
                 .tiles = TIFFIsTiled(tiff) != 0};
  const std::size_t most = most_from_a_byte(field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION));
  const std::string size = std::to_string(l.width) + " x " + std::to_string(l.height);
  if (const std::string what = unknown_kind(tiff, l); !what.empty()) throw kernels::Error(what, where, convert_it);
  if (too_large(static_cast<std::int64_t>(l.height), static_cast<std::int64_t>(l.width)))
    throw kernels::Error("TIFF of " + size + " pixels, too many", where, "make it smaller");
  if (l.samples < 1 || l.samples > max_channels)
    throw kernels::Error("TIFF of " + std::to_string(l.samples) + " samples a pixel; up to 64 are read", where,
                         convert_it);
  if (l.height * l.width * l.samples * l.sample() > most * file_bytes || l.height * l.width == 0)
    throw kernels::Error(
        "cut or damaged TIFF: " + std::to_string(file_bytes) + " bytes cannot hold " + size + " pixels", where,
        "replace the file, or remove it from the data");
  return l;
}

/// The pixels of the file, its parts one after the other.
class PixelReader {
 public:
  PixelReader(TIFF* tiff, const Layout& layout) : tiff_(tiff), l_(layout) {}

  /// False where they cannot be read, and libtiff has said why.
  bool read(std::byte* to) {
    const bool tiles = l_.tiles;
    height_ = field<std::uint32_t>(tiff_, tiles ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP);
    width_ = tiles ? field<std::uint32_t>(tiff_, TIFFTAG_TILEWIDTH) : l_.width;
    if (!tiles) height_ = std::min(height_, l_.height);
    if (height_ == 0 || width_ == 0) return false;
    const tmsize_t bytes = tiles ? TIFFTileSize(tiff_) : TIFFStripSize(tiff_);
    const std::size_t part = l_.height * l_.width * l_.pixel();
    if (bytes <= 0 || static_cast<std::size_t>(bytes) > part + most_of_a_block) return false;
    block_.resize(static_cast<std::size_t>(bytes));
    for (std::size_t p = 0; p < l_.parts(); ++p) {
      for (std::size_t y = 0; y < l_.height; y += height_) {
        for (std::size_t x = 0; x < l_.width; x += width_) {
          if (!read_block(p, y, x, to + p * part)) return false;
        }
      }
    }
    return true;
  }

 private:
  /// The tile or strip with pixel (y, x) in its corner.
  bool read_block(std::size_t part, std::size_t y, std::size_t x, std::byte* to) {
    const std::size_t rows = std::min(height_, l_.height - y), columns = std::min(width_, l_.width - x);
    const std::size_t row = width_ * l_.pixel(), wanted = (l_.tiles ? height_ : rows) * row;
    if (wanted > block_.size()) return false;
    const auto u32 = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
    const auto bytes = static_cast<tmsize_t>(wanted);
    const auto p = static_cast<std::uint16_t>(part);
    const tmsize_t got =
        l_.tiles ? TIFFReadEncodedTile(tiff_, TIFFComputeTile(tiff_, u32(x), u32(y), 0, p), block_.data(), bytes)
                 : TIFFReadEncodedStrip(tiff_, TIFFComputeStrip(tiff_, u32(y), p), block_.data(), bytes);
    if (got != bytes) return false;
    for (std::size_t r = 0; r < rows; ++r)
      std::memcpy(to + ((y + r) * l_.width + x) * l_.pixel(), &block_[r * row], columns * l_.pixel());
    return true;
  }

  TIFF* tiff_;
  const Layout& l_;
  std::size_t height_ = 0, width_ = 0;  // of a strip or tile
  std::vector<std::byte> block_;
};

/// The first `channels` samples of every pixel, side by side.
Image side_by_side(const Layout& l, std::vector<std::byte> stored, std::size_t channels) {
  Image image{.height = static_cast<int>(l.height),
              .width = static_cast<int>(l.width),
              .channels = static_cast<int>(channels),
              .dtype = l.dtype,
              .pixels = {}};
  if (!l.planes && channels == l.samples) {
    image.pixels = std::move(stored);
    return image;
  }
  const std::size_t count = l.height * l.width, sample = l.sample();
  image.pixels.resize(count * channels * sample);
  for (std::size_t c = 0; c < channels; ++c) {
    const std::byte* from = &stored[l.planes ? c * count * sample : c * sample];
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(&image.pixels[(i * channels + c) * sample], from + i * l.pixel(), sample);
  }
  return image;
}

/// 255 - v of u8, 65535 - v of u16, of the first channel: behind it there is alpha alone.
void invert(Image& image) {
  const std::size_t sample = kernels::size_of(image.dtype), pixel = static_cast<std::size_t>(image.channels) * sample;
  for (std::size_t at = 0; at < image.pixels.size(); at += pixel) {
    for (std::size_t i = 0; i < sample; ++i) image.pixels[at + i] = ~image.pixels[at + i];
  }
}

/// The palette's colours, of 16 bits, as u8; palettes of 8 bits, which some programs write, are told by their values.
Image with_palette(TIFF* tiff, const Image& places) {
  std::uint16_t* palette[3] = {};
  if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &palette[0], &palette[1], &palette[2]) != 1) return {};
  const bool wide = std::any_of(palette, palette + 3, [](const std::uint16_t* p) {
    return std::any_of(p, p + 256, [](std::uint16_t value) { return value > 255; });
  });
  Image image = make_image(places.height, places.width, 3, DType::u8);
  for (std::size_t i = 0; i < places.pixels.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint16_t value = palette[c][std::to_integer<int>(places.pixels[i])];
      image.pixels[3 * i + c] = static_cast<std::byte>(wide ? value >> 8 : value);
    }
  }
  return image;
}

}  // namespace

Image decode_tiff(std::span<const std::byte> file, const std::string& where, int channels) {
  Source source{.file = file};
  const auto damaged = [&] {
    return kernels::Error("cut or damaged TIFF" + (source.fault.empty() ? "" : ": " + source.fault), where,
                          "replace the file, or remove it from the data");
  };
  const Handle tiff = open(source);
  if (!tiff) throw damaged();
  if (field<std::uint16_t>(tiff.get(), TIFFTAG_PHOTOMETRIC) == PHOTOMETRIC_YCBCR)
    TIFFSetField(tiff.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  const Layout layout = layout_of(tiff.get(), file.size(), where);
  std::vector<std::byte> stored(layout.height * layout.width * layout.samples * layout.sample());
  source.reading = true;
  const bool whole = PixelReader(tiff.get(), layout).read(stored.data());
  if (!whole || !source.fault.empty()) throw damaged();
  if (layout.dtype == DType::f32 && !all_finite(stored))
    throw kernels::Error("holds values that are no numbers, or infinite", where, "fill them, or remove the file");
  const bool all = channels == static_cast<int>(layout.samples);
  Image image = side_by_side(layout, std::move(stored), all ? layout.samples : layout.colours);
  if (layout.photometric == PHOTOMETRIC_MINISWHITE) invert(image);
  if (layout.photometric == PHOTOMETRIC_PALETTE) image = with_palette(tiff.get(), image);
  if (image.pixels.empty()) throw damaged();
  image.orientation = field<std::uint16_t>(tiff.get(), TIFFTAG_ORIENTATION);
  return image;
}

}  // namespace mae
#else
namespace mae {

Image decode_tiff(std::span<const std::byte>, const std::string& where, int) {
  throw kernels::Error("is a TIFF, and this build cannot read TIFF", where,
                       "install libtiff 4.5 or newer (libtiff-dev) and build again");
}

}  // namespace mae
#endif
