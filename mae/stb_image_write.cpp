// stb_image_write's own code, apart from ours: in sanitized builds it is compiled without sanitizers, under which two
// thirds of the time of the tests apps.finetune and apps.disk went into its compression.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>
