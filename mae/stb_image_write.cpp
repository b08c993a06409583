// stb_image_write, and nothing of ours but the call: in sanitized builds this file is compiled without sanitizers,
// under which two thirds of the time of the tests apps.finetune and apps.disk went into its compression.
#include "mae/image_codecs.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace mae {

bool compress_png(void (*append)(void*, void*, int), void* context, int width, int height, int channels,
                  const void* pixels, int row_bytes) {
  return stbi_write_png_to_func(append, context, width, height, channels, pixels, row_bytes) != 0;
}

}  // namespace mae
