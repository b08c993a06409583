#include "bench/bare_jpeg.h"

#ifdef MAE_WITH_JPEG
#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>

namespace bench {

bool has_jpeg() { return true; }

void decode_bare_jpeg(std::span<const std::byte> file, std::vector<unsigned char>& out) {
  jpeg_decompress_struct codec{};
  jpeg_error_mgr errors{};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&codec, TRUE);
  if (codec.jpeg_color_space == JCS_GRAYSCALE) codec.out_color_space = JCS_RGB;
  jpeg_start_decompress(&codec);
  const std::size_t stride = std::size_t{codec.output_width} * static_cast<std::size_t>(codec.output_components);
  if (out.size() < stride * codec.output_height) out.resize(stride * codec.output_height);
  while (codec.output_scanline < codec.output_height) {
    JSAMPROW row = out.data() + codec.output_scanline * stride;
    jpeg_read_scanlines(&codec, &row, 1);
  }
  jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
}

}  // namespace bench
#else
namespace bench {

bool has_jpeg() { return false; }
void decode_bare_jpeg(std::span<const std::byte>, std::vector<unsigned char>&) {}

}  // namespace bench
#endif
