// JPEG by libjpeg-turbo. The library reports an error by a call that must not return: here a longjmp, so the functions
// between setjmp and the library hold nothing that needs a destructor.
#include "kernels/core/check.h"
#include "mae/exif.h"
#include "mae/image_codecs.h"

#ifdef MAE_WITH_JPEG
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>

namespace mae {
namespace {

constexpr int exif_marker = JPEG_APP0 + 1;

// Huffman codes spend a bit or more on each block of 8 x 8 pixels, in the first of a picture's scans. (Arithmetic
// coding, which nobody writes, could do with less for a picture of one colour.)
constexpr std::size_t most_from_a_byte = 1024;  // pixels, twice what follows from that
constexpr int most_scans = 100;                 // of a progressive file: each takes time; encoders write about ten

struct Failure {
  jpeg_error_mgr manager;  // first: the library hands back a pointer to it
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr codec) {
  auto* failure = reinterpret_cast<Failure*>(codec->err);
  failure->manager.format_message(codec, failure->message);
  std::longjmp(failure->escape, 1);
}

/// Level -1 is a warning, which the library gives for cut and corrupt data; higher levels are chatter.
void on_message(j_common_ptr codec, int level) {
  if (level < 0) on_error(codec);
}

void on_progress(j_common_ptr codec) {
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= most_scans) return;
  auto* failure = reinterpret_cast<Failure*>(codec->err);
  std::snprintf(failure->message, sizeof failure->message, "more than %d scans", most_scans);
  std::longjmp(failure->escape, 1);
}

bool start(jpeg_decompress_struct& codec, Failure& failure, std::span<const std::byte> file, int channels) {
  if (setjmp(failure.escape) != 0) return false;
  jpeg_create_decompress(&codec);
  codec.progress = &failure.progress;
  jpeg_mem_src(&codec, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_save_markers(&codec, exif_marker, 0xffff);
  jpeg_read_header(&codec, TRUE);
  const bool four_inks = codec.jpeg_color_space == JCS_CMYK || codec.jpeg_color_space == JCS_YCCK;
  if (codec.jpeg_color_space == JCS_GRAYSCALE && channels != 3) codec.out_color_space = JCS_GRAYSCALE;
  else codec.out_color_space = four_inks ? JCS_CMYK : JCS_RGB;
  jpeg_calc_output_dimensions(&codec);
  return true;
}

bool read_rows(jpeg_decompress_struct& codec, Failure& failure, unsigned char* out) {
  if (setjmp(failure.escape) != 0) return false;
  jpeg_start_decompress(&codec);
  const std::size_t stride = std::size_t{codec.output_width} * static_cast<std::size_t>(codec.output_components);
  while (codec.output_scanline < codec.output_height) {
    JSAMPROW row = out + codec.output_scanline * stride;
    jpeg_read_scanlines(&codec, &row, 1);
  }
  jpeg_finish_decompress(&codec);
  return true;
}

/// Of the first EXIF block; the markers live until the codec is destroyed.
int orientation_of(const jpeg_decompress_struct& codec) {
  for (auto marker = codec.marker_list; marker != nullptr; marker = marker->next) {
    const auto bytes = std::as_bytes(std::span(marker->data, marker->data_length));
    if (marker->marker == exif_marker && is_exif(bytes)) return exif_orientation(bytes);
  }
  return 1;
}

std::string size_of(const jpeg_decompress_struct& codec) {
  return std::to_string(codec.output_width) + " x " + std::to_string(codec.output_height);
}

/// Ink to light: R = (255 - C)(255 - K) / 255. Adobe's files, nearly all of this kind, store 255 - ink.
Image from_inks(const Image& inks, bool inverted) {
  Image rgb = make_image(inks.height, inks.width, 3, kernels::DType::u8);
  rgb.orientation = inks.orientation;
  const std::size_t count = inks.pixels.size() / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const auto light = [&](std::size_t c) {
      const int value = inks.as<std::uint8_t>()[4 * i + c];
      return inverted ? value : 255 - value;
    };
    for (std::size_t c = 0; c < 3; ++c) {
      rgb.as<std::uint8_t>()[3 * i + c] = static_cast<std::uint8_t>((light(c) * light(3) + 127) / 255);
    }
  }
  return rgb;
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const std::string& where, int channels) {
  constexpr const char* replace_it = "replace the file, or remove it from the data";
  jpeg_decompress_struct codec{};
  Failure failure{};
  codec.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = on_error;
  failure.manager.emit_message = on_message;
  failure.progress.progress_monitor = on_progress;

  std::string fault;
  Image image;
  if (!start(codec, failure, file, channels)) {
    fault = std::string("cut or damaged JPEG: ") + failure.message;
  } else if (too_large(codec.output_height, codec.output_width)) {
    fault = "JPEG of " + size_of(codec) + " pixels, too many";
  } else if (std::size_t{codec.output_height} * codec.output_width > most_from_a_byte * file.size()) {
    fault = "cut or damaged JPEG: " + std::to_string(file.size()) + " bytes cannot hold " + size_of(codec) + " pixels";
  } else {
    image = image_to_fill(static_cast<int>(codec.output_height), static_cast<int>(codec.output_width),
                          codec.output_components, kernels::DType::u8);
    image.orientation = orientation_of(codec);
    if (!read_rows(codec, failure, image.as<unsigned char>())) {
      fault = std::string("cut or damaged JPEG: ") + failure.message;
    }
  }
  const bool inverted = codec.saw_Adobe_marker != 0;
  jpeg_destroy_decompress(&codec);
  if (!fault.empty()) throw kernels::Error(fault, where, replace_it);
  if (image.channels == 4) return from_inks(image, inverted);
  return image;
}

}  // namespace mae
#else
namespace mae {

Image decode_jpeg(std::span<const std::byte>, const std::string& where, int) {
  throw kernels::Error("is a JPEG, and this build cannot read JPEG", where,
                       "install libjpeg-turbo's headers (libjpeg62-turbo-dev) and build again");
}

}  // namespace mae
#endif
