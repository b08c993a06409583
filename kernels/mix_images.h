// What fine-tuning does to a micro-batch of images at last, in one pass: normalise, erase (Zhong et al. 2017), and mix
// by mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019).
//
//     value(b) = inside the erase box of b:  N(0, 1), drawn anew for every value
//                else                        pixel * scale[channel] + shift[channel]
//     out[b]   = b has a cut box:            value(p) inside of it, value(b) outside
//                else                        lambda value(b) + (1 - lambda) value(p)     lambda 1: value(b), exactly
//
// The partner p of b is its mirror image within a group of `group` neighbours: the first with the last. p's partner is
// b. A group of 1 mixes nobody: each is its own partner.
//
// The noise is a function of seed, sample, epoch and place, the same on every device within rounding: mix_noise.h. It
// is computed in the type of out. Of a box that reaches beyond the image, the part inside counts.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

/// In pixels; without area it is none.
struct MixBox {
  std::int32_t top = 0, left = 0, height = 0, width = 0;

  MAE_HOST_DEVICE constexpr bool empty() const { return height <= 0 || width <= 0; }
  MAE_HOST_DEVICE constexpr bool has(std::int64_t y, std::int64_t x) const {
    return y >= top && y < top + height && x >= left && x < left + width;
  }
};

/// A row of boxes.
struct MixBoxes {
  MixBox erase, cut;
};
inline constexpr std::int64_t mix_box_fields = sizeof(MixBoxes) / sizeof(std::int32_t);

struct MixImages {
  static constexpr const char* kernel = "mix_images";
  static const Rows<MixImages> cpu, cuda, simt;

  View images;    // (B, H, W, C)   u8, u16, f32 or f64
  View scale;     // (C)            f64 for f64 out, else f32
  View shift;     // (C)
  View boxes;     // (B, 8)         i32, each row a MixBoxes
  View lambda;    // (B)            f64, in [0, 1]
  View draws;     // (B, 2)         u32: sample and epoch, for the noise
  View out;       // (B, H, W, C)   written; f64 or f32
  int group = 1;  // even, or 1; divides B
  std::uint32_t seed = 0;

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("images", a.images, Role::input);
    f("scale", a.scale, Role::input);
    f("shift", a.shift, Role::input);
    f("boxes", a.boxes, Role::input);
    f("lambda", a.lambda, Role::input);
    f("draws", a.draws, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("group", a.group);
    f("seed", a.seed);
  }
};

/// Whom sample b is mixed with.
MAE_HOST_DEVICE constexpr std::int64_t mix_partner(std::int64_t b, std::int64_t group) {
  return b - b % group + group - 1 - b % group;
}

void validate(const MixImages& a);
Cost cost(const MixImages& a);

}  // namespace kernels
