// stb_image_write's own code, apart from ours: in sanitized builds it is compiled without sanitizers, under which its
// compression took most of the time of all tests of the program.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>
