#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/core/check.h"
#include "mae/augment.h"
#include "tests/support/catch.h"
#include "tests/support/image_golden.h"
#include "tests/support/noise.h"

using namespace mae;
using kernels::DType;

namespace {

struct Case {
  Image in, expected;
  Crop crop;
};

std::vector<Case> golden_cases() {
  support::Golden golden("resize.bin");
  std::vector<Case> cases;
  const auto fill = [&](Image& image) {
    const auto bytes = golden.take(image.pixels.size());
    std::copy(bytes.begin(), bytes.end(), image.pixels.begin());
  };
  for (int n = golden.number(); n > 0; --n) {
    std::array<int, 10> v{};
    for (int& x : v) x = golden.number();
    const DType dtype = v[0] == 0 ? DType::u8 : DType::f32;
    Case c{.in = make_image(v[1], v[2], v[3], dtype),
           .expected = make_image(v[8], v[9], v[3], dtype),
           .crop = {.top = v[4], .left = v[5], .height = v[6], .width = v[7]}};
    fill(c.in);
    fill(c.expected);
    cases.push_back(std::move(c));
  }
  REQUIRE(golden.at_end());
  return cases;
}

Image as_u16(const Image& image) {
  Image out = make_image(image.height, image.width, image.channels, DType::u16);
  std::transform(image.as<std::uint8_t>(), image.as<std::uint8_t>() + image.pixels.size(), out.as<std::uint16_t>(),
                 [](std::uint8_t v) { return static_cast<std::uint16_t>(v * 257); });
  return out;
}

Image noise_image(int height, int width, int channels, std::uint32_t sample) {
  Image image = make_image(height, width, channels, DType::u8);
  image.pixels = support::noise_bytes(image.pixels.size(), sample);
  return image;
}

Image mirrored(const Image& image) {
  Image out = image;
  const auto pixel = static_cast<std::size_t>(image.channels) * size_of(image.dtype);
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t i = 0; i < image.pixels.size() / pixel; ++i) {
    const std::size_t x = i % width, row = i - x;
    std::memcpy(&out.pixels[(row + width - 1 - x) * pixel], &image.pixels[i * pixel], pixel);
  }
  return out;
}

}  // namespace

TEST_CASE("u8 resampling equals Pillow's bit for bit, f32 to rounding") {
  for (const Case& c : golden_cases()) {
    const Image out = apply(c.in, c.crop, c.expected.height, c.expected.width);
    CAPTURE(c.in.height, c.in.width, c.in.channels, name_of(c.in.dtype), c.crop.height, c.crop.width);
    if (c.in.dtype == DType::u8) {
      CHECK(out.pixels == c.expected.pixels);
    } else {
      for (int i = 0; i < out.height * out.width; ++i) {
        CHECK(std::abs(out.as<float>()[i] - c.expected.as<float>()[i]) <= 2e-6f);
      }
    }
  }
}

TEST_CASE("u16 resampling agrees with f32 resampling, rounded and clipped") {
  for (const Case& c : golden_cases()) {
    if (c.in.dtype != DType::u8) continue;
    const Image deep = as_u16(c.in);
    Image real = make_image(deep.height, deep.width, deep.channels, DType::f32);
    std::copy_n(deep.as<std::uint16_t>(), c.in.pixels.size(), real.as<float>());
    const Image out = apply(deep, c.crop, c.expected.height, c.expected.width);
    const Image expected = apply(real, c.crop, c.expected.height, c.expected.width);
    for (std::size_t i = 0; i < c.expected.pixels.size(); ++i) {
      const float clipped = std::clamp(expected.as<float>()[i], 0.0f, 65535.0f);
      CHECK(std::abs(static_cast<float>(out.as<std::uint16_t>()[i]) - clipped) <= 0.5f);
    }
  }
}

TEST_CASE("every channel count is resampled alike") {
  const Image image = noise_image(15, 12, 5, 3);
  const Crop crop{.top = 2, .left = 1, .height = 11, .width = 9, .flip = true};
  const Image out = apply(image, crop, 7, 13);
  for (int c = 0; c < 5; ++c) {
    Image one = make_image(15, 12, 1, DType::u8);
    for (std::size_t i = 0; i < one.pixels.size(); ++i)
      one.pixels[i] = image.pixels[5 * i + static_cast<std::size_t>(c)];
    const Image expected = apply(one, crop, 7, 13);
    for (std::size_t i = 0; i < expected.pixels.size(); ++i) {
      REQUIRE(out.pixels[5 * i + static_cast<std::size_t>(c)] == expected.pixels[i]);
    }
  }
}

TEST_CASE("a flip mirrors what is there without it") {
  for (Case c : golden_cases()) {
    for (const int width : {c.expected.width, c.crop.width}) {  // resampled, and only copied
      c.crop.flip = false;
      const Image plain = apply(c.in, c.crop, c.expected.height, width);
      c.crop.flip = true;
      CHECK(apply(c.in, c.crop, c.expected.height, width).pixels == mirrored(plain).pixels);
    }
  }
}

TEST_CASE("a box outside the image is refused") {
  const Image image = noise_image(8, 8, 1, 4);
  CHECK_THROWS_AS(apply(image, {.top = 1, .left = 0, .height = 8, .width = 8}, 4, 4), kernels::Error);
  CHECK_THROWS_AS(apply(image, {.top = 0, .left = 0, .height = 0, .width = 8}, 4, 4), kernels::Error);
}

TEST_CASE("fit covers the output and keeps the centre") {
  const Image image = noise_image(20, 31, 3, 5);
  CHECK(fit(image, 20, 31).pixels == image.pixels);
  const Image centre = apply(image, {.top = 0, .left = 6, .height = 20, .width = 20}, 20, 20);  // 5.5 rounds to 6
  CHECK(fit(image, 20, 20).pixels == centre.pixels);
  const Image small = apply(image, {.top = 0, .left = 0, .height = 20, .width = 31}, 10, 15);
  CHECK(fit(image, 10, 10).pixels == apply(small, {.top = 0, .left = 2, .height = 10, .width = 10}, 10, 10).pixels);
  const Image tall = noise_image(31, 20, 1, 6);
  CHECK(fit(tall, 12, 24).height == 12);
  CHECK(fit(tall, 12, 24).width == 24);
}

// Pinned: a change here would silently change every run that is resumed or repeated.
TEST_CASE("crops and flips keep their bits") {
  const Crop a = random_crop(28, 28, {}, {.seed = 1, .sample = 0, .epoch = 0});
  const Crop b = random_crop(375, 500, {}, {.seed = 1, .sample = 123456, .epoch = 7});
  const Crop c = random_crop(375, 500, {}, {.seed = 1, .sample = 123456, .epoch = 7, .view = 1});
  CHECK(std::array{a.top, a.left, a.height, a.width} == std::array{2, 14, 13, 13});
  CHECK(std::array{b.top, b.left, b.height, b.width} == std::array{3, 173, 315, 292});
  CHECK(std::array{c.top, c.left, c.height, c.width} == std::array{0, 260, 251, 211});
  std::uint32_t flips = 0;
  for (std::uint32_t i = 0; i < 32; ++i) flips |= std::uint32_t{random_flip({.seed = 1, .sample = i, .epoch = 0})} << i;
  CHECK(flips == 0x71420a4bu);
}

TEST_CASE("crop boxes have the area, aspect and places that were asked for") {
  constexpr int n = 20000, height = 300, width = 400;
  double area = 0, log_aspect = 0, flips = 0, top = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const DrawOf draw{.seed = 3, .sample = i, .epoch = 2};
    const Crop crop = random_crop(height, width, {}, draw);
    REQUIRE((crop.top >= 0 && crop.left >= 0));
    REQUIRE((crop.top + crop.height <= height && crop.left + crop.width <= width));
    const double share = static_cast<double>(crop.height) * crop.width / (height * width);
    const double aspect = static_cast<double>(crop.width) / crop.height;
    REQUIRE((share > 0.195 && share <= 1.0));
    REQUIRE((aspect > 0.74 && aspect < 1.345));
    area += share / n;
    log_aspect += std::log(aspect) / n;
    flips += random_flip(draw) ? 1.0 / n : 0;
    if (crop.height < height) top += static_cast<double>(crop.top) / (height - crop.height) / n;
  }
  // Means of 200,000 boxes drawn by the same rule with Python's random module. Boxes that do not fit are drawn again:
  // large areas are rarer than in U(0.2, 1), and an image that is wide has room for wide boxes.
  CHECK(area == Approx(0.4952).margin(0.006));
  CHECK(log_aspect == Approx(0.0373).margin(0.005));
  CHECK(flips == Approx(0.5).margin(0.015));
  CHECK(top == Approx(0.5).margin(0.015));
}

TEST_CASE("where no box fits, the centre with the nearest aspect is taken") {
  const CropRange full{.scale_low = 1, .scale_high = 1};
  const Crop wide = random_crop(10, 100, full, {.seed = 1});
  CHECK(std::array{wide.top, wide.left, wide.height, wide.width} == std::array{0, 43, 10, 13});
  const Crop tall = random_crop(100, 10, full, {.seed = 1});
  CHECK(std::array{tall.top, tall.left, tall.height, tall.width} == std::array{43, 0, 13, 10});
  const Crop dot = random_crop(1, 1, {}, {.seed = 1});
  CHECK(std::array{dot.height, dot.width} == std::array{1, 1});
}
