// TIFF: files of tests/fuzz/make_corpus.py, whose pixels follow a formula, against that formula.
#include <tiffio.h>

#include "kernels/core/check.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;

namespace {

std::string tiff_file(const std::string& name) { return MAE_SOURCE_DIR "/tests/fuzz/corpus/tiff/" + name; }

int value(int y, int x, int c) { return (7 * y + 13 * x + 29 * c) % 256; }

/// Of u8, and of the other types in units of the formula.
double pixel(const Image& image, int y, int x, int c) {
  const int at = (y * image.width + x) * image.channels + c;
  if (image.dtype == DType::u8) return image.as<std::uint8_t>()[at];
  if (image.dtype == DType::u16) return image.as<std::uint16_t>()[at] / 257.0;
  return image.as<float>()[at] * 8.0;
}

void check_formula(const Image& image) {
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < image.channels; ++c) {
        if (pixel(image, y, x, c) != value(y, x, c)) FAIL("pixel " << y << " " << x << " " << c);
      }
    }
  }
}

struct Case {
  const char* name;
  int height, width, channels;
  DType dtype;
};

/// A TIFF of libtiff itself: tiles or strips, and a compression.
void write_tiff(const std::string& path, int height, int width, int compression, bool tiles) {
  TIFF* file = TIFFOpen(path.c_str(), "w");
  TIFFSetField(file, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(file, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(file, TIFFTAG_COMPRESSION, compression);
  if (compression == COMPRESSION_LZW) TIFFSetField(file, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  const int rows = tiles ? 16 : 5, columns = tiles ? 32 : width;
  TIFFSetField(file, tiles ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, rows);
  if (tiles) TIFFSetField(file, TIFFTAG_TILEWIDTH, columns);
  std::uint32_t number = 0;
  for (int top = 0; top < height; top += rows) {
    for (int left = 0; left < width; left += columns) {
      std::vector<std::uint8_t> block;
      for (int y = top; y < (tiles ? top + rows : std::min(top + rows, height)); ++y) {
        for (int x = left; x < left + columns; ++x) {
          for (int c = 0; c < 3; ++c) block.push_back(static_cast<std::uint8_t>(value(y, x, c)));
        }
      }
      const auto bytes = static_cast<tmsize_t>(block.size());
      tiles ? TIFFWriteEncodedTile(file, number, block.data(), bytes)
            : TIFFWriteEncodedStrip(file, number, block.data(), bytes);
      ++number;
    }
  }
  TIFFClose(file);
}

}  // namespace

TEST_CASE("TIFF: strips, tiles, planes, both byte orders, BigTIFF, 8 and 16 bits and floats") {
  for (const Case& c :
       {Case{"grey8", 5, 6, 1, DType::u8}, Case{"rgb8_strips", 7, 5, 3, DType::u8},
        Case{"rgb16_big_endian", 4, 5, 3, DType::u16}, Case{"f32_planes", 3, 4, 2, DType::f32},
        Case{"u16_tiles_planes", 20, 18, 5, DType::u16}, Case{"rgb8_tiles_bigtiff", 17, 33, 3, DType::u8}}) {
    CAPTURE(c.name);
    const Image image = read_image(tiff_file(c.name));
    CHECK((image.height == c.height && image.width == c.width && image.channels == c.channels));
    CHECK(image.dtype == c.dtype);
    CHECK(image.orientation == 1);
    check_formula(image);
  }
}

TEST_CASE("TIFF: what compressions leave is the picture") {
  const support::TempDir dir;
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_PACKBITS, COMPRESSION_ADOBE_DEFLATE}) {
    for (const bool tiles : {false, true}) {
      CAPTURE(compression, tiles);
      write_tiff(dir / "a.tif", 37, 41, compression, tiles);
      const Image image = read_image(dir / "a.tif");
      CHECK((image.height == 37 && image.width == 41 && image.channels == 3));
      check_formula(image);
    }
  }
}

TEST_CASE("TIFF: alpha is dropped unless wanted, white as 0 is turned, palettes are expanded, orientation is read") {
  CHECK(read_image(tiff_file("rgba8")).channels == 3);
  check_formula(read_image(tiff_file("rgba8")));
  CHECK(read_image(tiff_file("rgba8"), 4).channels == 4);
  check_formula(read_image(tiff_file("rgba8"), 4));
  CHECK(read_image(tiff_file("rgba8"), 1).channels == 1);

  const Image white = read_image(tiff_file("white_is_zero"));
  CHECK((pixel(white, 0, 0, 0) == 255 && pixel(white, 1, 2, 0) == 255 - value(1, 2, 0)));

  const Image palette = read_image(tiff_file("palette"));  // colour i of the palette: i, i, i
  CHECK((palette.channels == 3 && palette.dtype == DType::u8));
  for (int c = 0; c < 3; ++c) CHECK(pixel(palette, 1, 2, c) == value(1, 2, 0));

  const Image turned = read_image(tiff_file("turned"));
  CHECK(turned.orientation == 6);
  CHECK(pixel(upright(turned), 0, 0, 0) == value(1, 0, 0));
}

TEST_CASE("TIFF: damaged and strange files are refused by name") {
  const support::TempDir dir;
  const std::string path = dir / "a.tif";
  for (const char* name : {"grey8", "rgb8_tiles_bigtiff", "u16_tiles_planes"}) {
    const std::vector<std::byte> whole = read_bytes(tiff_file(name));
    for (const std::size_t size : {std::size_t{6}, whole.size() / 3, whole.size() / 2, whole.size() - 40}) {
      CAPTURE(name, size);
      support::write_file(path, std::span(whole).first(size));
      CHECK_THROWS_WITH(read_image(path), ContainsSubstring(path) && ContainsSubstring("cut or damaged TIFF"));
    }
  }
  std::vector<std::byte> packed = read_bytes(tiff_file("rgb8_tiles_bigtiff"));
  packed[40] ^= std::byte{0x55};  // in the first tile's deflate stream
  support::write_file(path, packed);
  CHECK_THROWS_WITH(read_image(path), ContainsSubstring("cut or damaged TIFF"));

  std::vector<std::byte> small = read_bytes(tiff_file("grey8"));
  // ImageWidth, tag 256, is the first entry of the directory behind 8 bytes of header and 30 pixels
  CHECK(std::to_integer<int>(small[8 + 30 + 2]) == 0);
  small[8 + 30 + 2 + 8 + 1] = std::byte{0x3f};       // 16,134 wide
  small[8 + 30 + 2 + 12 + 8 + 1] = std::byte{0x07};  // 1,797 high
  support::write_file(path, small);
  CHECK_THROWS_WITH(read_image(path), ContainsSubstring("cannot hold"));
  write_tiff(path, 8, 8, COMPRESSION_NONE, false);
  TIFF* file = TIFFOpen(path.c_str(), "r+");
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_SEPARATED);
  TIFFRewriteDirectory(file);
  TIFFClose(file);
  CHECK_THROWS_WITH(read_image(path), ContainsSubstring("not grey, RGB or a palette"));
}
