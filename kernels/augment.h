// What augmentation does to a batch of images of different sizes: a box of each, brought to one size, flipped where
// asked for, and scaled and shifted by channel.
//
//   middle[y, x] = sum over k of across[x, k] * box[y, first(x) + k]       every row of the box, mirrored on a flip
//   value[y, x]  = sum over k of down[y, k] * middle[first(y) + k, x]
//   out          = value, or value * scale[channel] + shift[channel]
//
// The filter is bicubic, a = -0.5, antialiased, and sees nothing beyond the box: resample_filter.h. A side that already
// fits is copied. u8 equals Pillow bit for bit: whole-number weights, each pass rounded to u8. u16 and f32 keep floats
// between the passes; a u16 is rounded and clipped once at the end; scale and shift see the value after that. Sums are
// i32 for u8, f64 for f64, else f32, in the order of k: every row on every device gives the same bits.
//
// Rows trust the values of boxes: validate sees shapes only, because a dry stream has no data to look at.
#pragma once

#include "kernels/core/launch.h"

namespace kernels {

/// A row of boxes: an image of the batch, and its box, which lies inside it. In pixels.
struct CropBox {
  std::int32_t offset = 0;  // of the image's first pixel in CropResize::pixels
  std::int32_t height = 0, width = 0;
  std::int32_t top = 0, left = 0, box_height = 0, box_width = 0;
  std::int32_t flip = 0;  // not 0: left and right exchanged
};
inline constexpr std::int64_t box_fields = sizeof(CropBox) / sizeof(std::int32_t);

struct CropResize {
  static constexpr const char* kernel = "crop_resize";
  static const Rows<CropResize> cpu, cuda, simt;

  View pixels;            // (N, C)                 u8, u16, f32 or f64: images (height, width, C), one behind another
  View boxes;             // (B, 8)                 i32, each row a CropBox
  View scale{}, shift{};  // (C)                    f64 for f64 out, else f32; null, both: out is not normalised
  View out;               // (B, height, width, C)  written; normalised f64, f32 or bf16, else the dtype of pixels
  std::int64_t longest = 0;  // no box has a longer side: what rows reserve memory for

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("pixels", a.pixels, Role::input);
    f("boxes", a.boxes, Role::input);
    f("scale", a.scale, Role::input);
    f("shift", a.shift, Role::input);
    f("out", a.out, Role::output);
  }

  template <class Self, class F>
  static void scalars(Self& a, F f) {
    f("longest", a.longest);
  }
};

void validate(const CropResize& a);
Cost cost(const CropResize& a);

}  // namespace kernels
