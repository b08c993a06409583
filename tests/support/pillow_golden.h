// tests/golden/pillow.bin: images, what Pillow's operators make of them, and what a resize with a crop does.
#pragma once

#include <algorithm>

#include "mae/image.h"
#include "tests/support/image_golden.h"

namespace support {

struct PillowOperator {
  std::size_t image = 0;
  int op = 0;  // a mae::Operator
  double magnitude = 0;
  bool negative = false;
  mae::Image expected;
};

struct PillowFit {
  std::size_t image = 0;
  int resize = 0, crop = 0;
  mae::Image expected;
};

struct PillowGolden {
  std::vector<mae::Image> images;
  std::vector<PillowOperator> operators;
  std::vector<PillowFit> fits;
};

inline mae::Image taken_image(Golden& golden, int height, int width, int channels) {
  mae::Image image = mae::make_image(height, width, channels, kernels::DType::u8);
  const auto bytes = golden.take(image.pixels.size());
  std::copy(bytes.begin(), bytes.end(), image.pixels.begin());
  return image;
}

inline PillowGolden pillow_golden() {
  Golden golden("pillow.bin");
  PillowGolden all;
  for (int n = golden.number(); n > 0; --n) {
    const int height = golden.number(), width = golden.number(), channels = golden.number();
    all.images.push_back(taken_image(golden, height, width, channels));
  }
  for (int n = golden.number(); n > 0; --n) {
    PillowOperator c;
    c.image = static_cast<std::size_t>(golden.number());
    c.op = golden.number();
    c.magnitude = golden.number() / 1000.0;
    c.negative = golden.number() != 0;
    const mae::Image& in = all.images.at(c.image);
    c.expected = taken_image(golden, in.height, in.width, in.channels);
    all.operators.push_back(std::move(c));
  }
  for (int n = golden.number(); n > 0; --n) {
    PillowFit c;
    c.image = static_cast<std::size_t>(golden.number());
    c.resize = golden.number();
    c.crop = golden.number();
    c.expected = taken_image(golden, c.crop, c.crop, all.images.at(c.image).channels);
    all.fits.push_back(std::move(c));
  }
  if (!golden.at_end()) throw std::runtime_error("pillow.bin goes on");
  return all;
}

}  // namespace support
