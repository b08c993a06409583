// B images of H x W pixels with C channels in groups of G, PAD more elements between pixels. Of the boxes some are
// empty, some whole images; of the lambdas some are 1.
#pragma once

#include "kernels/cases/case.h"
#include "kernels/core/philox.h"
#include "kernels/mix_images.h"

namespace kernels {

template <>
struct Case<MixImages> {
  static constexpr const char* tests[] = {"B=1 H=1 W=1 C=1 G=1", "B=6 H=7 W=5 C=3 G=2", "B=8 H=16 W=20 C=1 G=8",
                                          "B=10 H=8 W=8 C=13 G=10 PAD=2", "B=12 H=32 W=32 C=3 G=4"};
  static constexpr const char* bench[] = {"B=1024 H=32 W=32 C=3 G=32", "B=64 H=224 W=224 C=3 G=32"};
  static constexpr Bound bound{};
  static std::vector<DType> dtypes() { return {DType::f64, DType::f32}; }

  static std::vector<MixImages> make(const Dims& d, DType t) {
    const std::int64_t B = d["B"], H = d["H"], W = d["W"], C = d["C"];
    std::vector<MixImages> all;
    for (DType pixel : {DType::u8, DType::u16, DType::f32, DType::f64}) {
      all.push_back({.images = shaped(pixel, {B, H, W, C}),
                     .scale = shaped(t, {C}),
                     .shift = shaped(t, {C}),
                     .boxes = shaped(DType::i32, {B, mix_box_fields}),
                     .lambda = shaped(DType::f64, {B}),
                     .draws = shaped(DType::u32, {B, 2}),
                     .out = shaped(t, {B, H, W, C}),
                     .group = static_cast<int>(d["G"]),
                     .seed = 11});
    }
    all.push_back(all.front());
    all.back().images.row_stride = C + d.get("PAD", 1), all.back().out.row_stride = C + d.get("PAD", 0);
    all.back().group = 1;
    return all;
  }

  static void fill(MixImages& a) {
    const auto H = static_cast<std::int32_t>(a.images.shape[1]), W = static_cast<std::int32_t>(a.images.shape[2]);
    for (std::int32_t b = 0; b < a.images.shape[0]; ++b) {
      const auto below = [&](std::uint32_t i, std::int32_t count) {
        const std::uint32_t word =
            philox_word(i, {.block = 0, .subindex = 2, .sample = static_cast<std::uint32_t>(b), .time = 0},
                        {.seed = 0, .purpose = static_cast<std::uint32_t>(Purpose::test)});
        return static_cast<std::int32_t>(word % static_cast<std::uint32_t>(count));
      };
      MixBox erase, cut;
      if (b % 3 != 1) erase.height = 1 + below(0, H), erase.width = 1 + below(1, W);
      if (b % 5 == 4) erase.height = H, erase.width = W;
      if (b % 4 < 2) cut.height = 1 + below(2, H), cut.width = below(3, 2 * W) % (W + 1);  // or no area
      erase.top = below(4, H - erase.height + 1), erase.left = below(5, W - erase.width + 1);
      cut.top = below(6, H - cut.height + 1), cut.left = below(7, W - cut.width + 1);
      a.boxes.as<MixBoxes>()[b] = {erase, cut};
      a.lambda.as<double>()[b] = b % 7 == 3 ? 1 : 0.1 + 0.03 * below(8, 30);
    }
  }
};

}  // namespace kernels
