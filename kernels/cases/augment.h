// B images of H x W pixels or somewhat less with C channels, every other one turned on its side, to OH x OW.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/augment.h"
#include "kernels/cases/case.h"
#include "kernels/core/philox.h"

namespace kernels {

template <>
struct Case<CropResize> {
  static constexpr const char* tests[] = {"B=1 H=1 W=1 C=1 OH=1 OW=1",     "B=6 H=28 W=23 C=1 OH=16 OW=16",
                                          "B=7 H=31 W=40 C=3 OH=12 OW=20", "B=2 H=9 W=5 C=5 OH=17 OW=3",
                                          "B=3 H=90 W=11 C=4 OH=7 OW=100", "B=6 H=13 W=17 C=3 OH=13 OW=86"};
  static constexpr const char* bench[] = {"B=64 H=375 W=500 C=3 OH=224 OW=224", "B=1024 H=32 W=32 C=3 OH=32 OW=32",
                                          "B=1024 H=28 W=28 C=1 OH=28 OW=28"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32, DType::bf16}; }

  static std::vector<CropResize> make(const Dims& d, DType t) {
    const std::int64_t B = d["B"], H = d["H"], W = d["W"], C = d["C"];
    std::vector<CropResize> all;
    for (DType pixel : {DType::u8, DType::u16, DType::f32}) {
      if (t == DType::f64 && pixel == DType::f32) pixel = DType::f64;
      CropResize normalised{.pixels = shaped(pixel, {B * H * W, C}),
                            .boxes = shaped(DType::i32, {B, box_fields}),
                            .scale = shaped(statistics_of(t), {C}),
                            .shift = shaped(statistics_of(t), {C}),
                            .out = shaped(t, {B, d["OH"], d["OW"], C}),
                            .longest = std::max(H, W)};
      CropResize plain = normalised;
      plain.scale = plain.shift = View{};
      plain.out.dtype = pixel;
      all.push_back(normalised);
      if (t == pixel || t == DType::f32) all.push_back(plain);
    }
    return all;
  }

  // Whole range of the integers; boxes of every kind: the whole image, a side that fits, one pixel, any. u8 is black or
  // white in a third of its pixels, where the filter's overshoot has to be clipped.
  static void fill(CropResize& a) {
    const PhiloxKey key{.seed = 0, .purpose = static_cast<std::uint32_t>(Purpose::test)};
    const auto word = [&](std::uint32_t i, std::uint32_t sample) {
      return philox_word(i, {.block = 0, .subindex = 1, .sample = sample, .time = 0}, key);
    };
    const std::int64_t values = a.pixels.shape.count();
    for (std::uint32_t i = 0; i < values; ++i) {
      const std::uint32_t w = word(i, ~0u);
      if (a.pixels.dtype == DType::u8)
        a.pixels.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(w % 6 > 1 ? w >> 8 : w % 6 * 255);
      if (a.pixels.dtype == DType::u16) a.pixels.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(w);
    }
    const std::int64_t B = a.boxes.rows(), room = a.pixels.rows() / B;
    const auto longest = static_cast<std::int32_t>(a.longest), shortest = static_cast<std::int32_t>(room / a.longest);
    for (std::int32_t b = 0; b < B; ++b) {
      const auto below = [&](std::uint32_t i, std::int32_t count) {
        return static_cast<std::int32_t>(word(i, static_cast<std::uint32_t>(b)) % static_cast<std::uint32_t>(count));
      };
      CropBox& box = a.boxes.as<CropBox>()[b];
      box.offset = static_cast<std::int32_t>(b * room);
      box.height = std::max(1, (b % 2 == 0 ? longest : shortest) - b % 3);
      box.width = std::max(1, (b % 2 == 0 ? shortest : longest) - b % 4);
      box.box_height = 1 + below(0, box.height), box.box_width = 1 + below(1, box.width);
      if (b % 5 == 0) box.box_height = box.height, box.box_width = box.width;
      if (b % 5 == 1) box.box_width = std::min(box.width, static_cast<std::int32_t>(a.out.shape[2]));
      if (b % 5 == 2) box.box_height = std::min(box.height, static_cast<std::int32_t>(a.out.shape[1]));
      if (b % 5 == 3) box.box_height = box.box_width = 1;
      box.top = below(2, box.height - box.box_height + 1), box.left = below(3, box.width - box.box_width + 1);
      box.flip = below(4, 2);
    }
  }
};

}  // namespace kernels
