// labels: golden
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include "kernels/core/check.h"
#include "mae/color.h"
#include "mae/loader.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"
#include "tests/support/pillow_golden.h"

using namespace mae;
using kernels::DType;

namespace {

Image noise(int height, int width, int channels, std::uint32_t sample, DType dtype = DType::u8) {
  Image image = make_image(height, width, channels, dtype);
  image.pixels = support::noise_bytes(image.pixels.size(), sample);
  return image;
}

Image augmented(const Image& image, const Augmentation& a, const DrawOf& draw, int height, int width) {
  Image out = make_image(height, width, image.channels, image.dtype);
  augment(view_of(image), a, draw, height, width, out.pixels.data());
  return out;
}

/// out(y, x) = image(at(y, x)), a pixel at a time.
template <class F>
Image moved(const Image& image, const F& at) {
  Image out = image;
  const auto pixel = static_cast<std::size_t>(image.channels) * size_of(image.dtype);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const auto [from_y, from_x] = at(y, x);
      std::memcpy(&out.pixels[static_cast<std::size_t>(y * image.width + x) * pixel],
                  &image.pixels[static_cast<std::size_t>(from_y * image.width + from_x) * pixel], pixel);
    }
  }
  return out;
}

constexpr Augmentation everything{
    .range = {.scale_low = 0.08}, .vertical_flip = true, .turns = true, .rand = RandAugment{}, .jitter = {}};

}  // namespace

TEST_CASE("flips and turns move whole pixels of every type") {
  for (const DType dtype : {DType::u8, DType::u16, DType::f32}) {
    for (const int side : {1, 4, 7}) {
      const Image image = noise(side, side, 3, 1, dtype);
      const std::size_t pixel = 3 * size_of(dtype);
      const auto after = [&](auto f) {
        Image out = image;
        f(out.pixels.data());
        return out.pixels;
      };
      const int last = side - 1;
      using At = std::pair<int, int>;
      CHECK(after([&](std::byte* p) { mirror(p, side, side, pixel); }) == moved(image, [&](int y, int x) {
                                                                            return At{y, last - x};
                                                                          }).pixels);
      CHECK(after([&](std::byte* p) { upside_down(p, side, side, pixel); }) == moved(image, [&](int y, int x) {
                                                                                 return At{last - y, x};
                                                                               }).pixels);
      const std::array turned{image,
                              moved(image,
                                    [&](int y, int x) {
                                      return At{x, last - y};
                                    }),
                              moved(image,
                                    [&](int y, int x) {
                                      return At{last - y, last - x};
                                    }),
                              moved(image, [&](int y, int x) {
                                return At{last - x, y};
                              })};
      for (int quarters = 0; quarters < 4; ++quarters) {
        CHECK(after([&](std::byte* p) { turn(p, side, pixel, quarters); }) ==
              turned[static_cast<std::size_t>(quarters)].pixels);
      }
    }
  }
}

TEST_CASE("a quarter turn is Pillow's rotation by 90 degrees") {
  Image by_angle = noise(9, 9, 3, 2), by_turn = by_angle;
  rotate(editable(by_angle), 90, {});
  turn(by_turn.pixels.data(), 9, 3, 1);
  CHECK(by_angle.pixels == by_turn.pixels);
}

TEST_CASE("crop, flips, turns and operators follow each other") {
  const Image image = noise(30, 37, 3, 3);
  std::map<int, int> turns;
  int vertical = 0;
  for (std::uint32_t i = 0; i < 400; ++i) {
    const DrawOf draw{.seed = 8, .sample = i, .epoch = 2};
    Crop crop = random_crop(30, 37, everything.range, draw);
    crop.flip = random_flip(draw);
    Image expected = apply(image, crop, 16, 16);
    if (random_vertical_flip(draw)) upside_down(expected.pixels.data(), 16, 16, 3);
    turn(expected.pixels.data(), 16, 3, random_turn(draw));
    rand_augment(editable(expected), everything.rand, draw);
    REQUIRE(augmented(image, everything, draw, 16, 16).pixels == expected.pixels);
    vertical += random_vertical_flip(draw);
    ++turns[random_turn(draw)];
  }
  CHECK(vertical == Approx(200).margin(40));
  for (int quarters = 0; quarters < 4; ++quarters) CHECK(turns[quarters] == Approx(100).margin(35));
}

TEST_CASE("without a crop an image is fitted, and flipped all the same") {
  const Image image = noise(20, 31, 1, 4, DType::u16);
  const Augmentation a{.crop = false, .share = 0.8};
  for (std::uint32_t i = 0; i < 8; ++i) {
    Image expected = fit(image, 12, 12, 0.8);
    if (random_flip({.seed = 1, .sample = i})) mirror(expected.pixels.data(), 12, 12, 2);
    CHECK(augmented(image, a, {.seed = 1, .sample = i}, 12, 12).pixels == expected.pixels);
  }
  CHECK(augmented(image, no_augmentation, {}, 12, 12).pixels == fit(image, 12, 12).pixels);
}

TEST_CASE("the linear probe's crop is the first box, cut to the image") {
  constexpr CropRange range{.scale_low = 0.08};
  for (const auto& [height, width] : {std::pair{60, 90}, std::pair{90, 60}}) {
    int same = 0, cut = 0;
    for (std::uint32_t i = 0; i < 2000; ++i) {
      const DrawOf draw{.seed = 6, .sample = i, .epoch = 0};
      const Crop one = random_crop(height, width, range, draw, CropTries::one);
      const Crop ten = random_crop(height, width, range, draw);
      REQUIRE((one.top >= 0 && one.left >= 0 && one.height >= 1 && one.width >= 1));
      REQUIRE((one.top + one.height <= height && one.left + one.width <= width));
      const bool equal =
          one.top == ten.top && one.left == ten.left && one.height == ten.height && one.width == ten.width;
      const bool full = one.height == height || one.width == width;
      if (!equal) REQUIRE(full);
      same += equal, cut += full;
    }
    CHECK(cut > 100);
    CHECK(same > 1000);
  }
}

TEST_CASE("fit with a share is Pillow's resize with torchvision's centre crop, bit for bit") {
  const support::PillowGolden golden = support::pillow_golden();
  for (const support::PillowFit& c : golden.fits) {
    CAPTURE(c.image, c.resize, c.crop);
    const double share = static_cast<double>(c.crop) / c.resize;
    const Image out = fit(golden.images[c.image], c.crop, c.crop, share);
    CHECK(out.pixels == c.expected.pixels);
  }
  CHECK(golden.fits.size() == 4);
}

TEST_CASE("jitter draws its factors and its order") {
  const Image image = noise(9, 8, 3, 5);
  const ColorJitter jitter{.brightness = 0.4, .contrast = 0.4, .saturation = 0.4};
  // all of it, and parts: what is off draws the same numbers and does nothing
  const auto jittered = [&](const ColorJitter& options, std::uint32_t i) {
    Image out = image;
    color_jitter(editable(out), options, {.seed = 2, .sample = i});
    return out;
  };
  std::map<std::vector<std::byte>, int> orders;
  double low = 2, high = 0, sum = 0;
  for (std::uint32_t i = 0; i < 600; ++i) {
    const Image bright = jittered({.brightness = 0.4}, i);
    double factor = 0;  // of the brightest pixels that do not clip
    for (std::size_t k = 0; k < image.pixels.size(); ++k) {
      const double in = image.as<std::uint8_t>()[k], out = bright.as<std::uint8_t>()[k];
      if (in > 100 && out < 255) factor = std::max(factor, out / in);
    }
    low = std::min(low, factor), high = std::max(high, factor), sum += factor / 600;
    if (i < 3) CHECK(jittered(jitter, i).pixels != image.pixels);
  }
  CHECK((low >= 0.59 && low < 0.62));
  CHECK((high <= 1.4 && high > 1.38));
  CHECK(sum == Approx(1).margin(0.03));
  std::array<int, 6> counts{};
  for (std::uint32_t i = 0; i < 1200; ++i) {
    const auto [w] = words({.seed = 2, .sample = i}, kernels::Purpose::color_jitter, 0);
    const std::array factors{between(0.6, 1.4, w[1]), between(0.6, 1.4, w[2]), between(0.6, 1.4, w[3])};
    std::array<int, 3> order{0, 1, 2};
    const int which = below(6, w[0]);
    for (int n = 0; n < which; ++n) std::next_permutation(order.begin(), order.end());
    Image expected = image;
    constexpr std::array adjust{adjust_brightness, adjust_contrast, adjust_color};
    for (const int k : order)
      adjust[static_cast<std::size_t>(k)](editable(expected), factors[static_cast<std::size_t>(k)]);
    REQUIRE(jittered(jitter, i).pixels == expected.pixels);
    ++counts[static_cast<std::size_t>(which)];
  }
  for (const int count : counts) CHECK(count == Approx(200).margin(50));
}

TEST_CASE("what an image cannot have is refused with the reason") {
  const auto refused = [](const Augmentation& a, int channels, DType dtype, int height, const char* why) {
    CAPTURE(why);
    CHECK_THROWS_WITH(check_augmentation(a, channels, dtype, height, 32), ContainsSubstring(why));
  };
  const Augmentation rand{.rand = RandAugment{}}, jitter{.jitter = {.contrast = 0.4}};
  refused(rand, 13, DType::u8, 32, "RandAugment is defined for 8-bit images of 1 or 3 channels, these are u8 with 13");
  refused(rand, 3, DType::u16, 32, "u16");
  refused(jitter, 3, DType::f32, 32, "colour jitter");
  refused({.rand = RandAugment{}, .jitter = {.contrast = 0.4}}, 3, DType::u8, 32, "exclude each other");
  refused({.jitter = {.contrast = -1}}, 3, DType::u8, 32, "negative");
  refused({.rand = {.magnitude = 11}}, 3, DType::u8, 32, "RandAugment is out of range");
  refused({.turns = true}, 3, DType::u8, 48, "48 and 32");
  refused({.share = 0}, 3, DType::u8, 32, "share");
  for (const int channels : {1, 3}) {
    CHECK_NOTHROW(check_augmentation(everything, channels, DType::u8, 32, 32));
    CHECK_NOTHROW(check_augmentation(jitter, channels, DType::u8, 32, 48));
  }
  CHECK_NOTHROW(check_augmentation({.vertical_flip = true, .turns = true}, 13, DType::u16, 32, 32));
}

TEST_CASE("any number of workers gives the same augmented pixels, and a loader refuses what cannot be") {
  Dataset data;
  data.path = "noise", data.size = 47, data.channels = 3;
  data.image = [](std::int64_t i) { return noise(20 + static_cast<int>(i % 3), 24, 3, static_cast<std::uint32_t>(i)); };
  LoaderOptions options{.seed = 3, .batch = 20, .height = 16, .width = 16, .augmentation = everything, .workers = 0};
  Loader alone(data, options);
  for (const int workers : {1, 3}) {
    options.workers = workers;
    Loader loader(data, options);
    for (const std::int64_t step : {0, 1, 5}) CHECK(loader.get(step).pixels == alone.get(step).pixels);
  }
  options.augmentation.rand = no_rand_augment;
  options.workers = 0;
  CHECK(Loader(data, options).get(0).pixels != alone.get(0).pixels);
  options.width = 12;
  CHECK_THROWS_WITH(Loader(data, options), ContainsSubstring("quarter turns"));
}
