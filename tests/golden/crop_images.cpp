// Decodes, crops and resizes for compare_resize.py. Each line of standard input is
//
//     top left height width output_height output_width path
//
// and gives output_height x output_width x 3 bytes on standard output. An error ends the program with its message.
#include <cstdio>
#include <iostream>
#include <sstream>

#include "kernels/core/check.h"
#include "mae/augment.h"

int main() {
  mae::Image image;
  std::string last;
  try {
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      mae::Crop crop;
      int height = 0, width = 0;
      std::string path;
      words >> crop.top >> crop.left >> crop.height >> crop.width >> height >> width >> std::ws;
      std::getline(words, path);
      if (path != last) image = mae::read_image(path, 3);
      last = path;
      const mae::Image out = mae::apply(image, crop, height, width);
      std::fwrite(out.pixels.data(), 1, out.pixels.size(), stdout);
    }
  } catch (const kernels::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
