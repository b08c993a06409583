// What training sees of an image: random crop, flips and turns, RandAugment or colour jitter, in this order, and the
// resampling under the crop. Without augmentation: `fit`.
//
// Box:       torchvision's RandomResizedCrop. Up to ten times: area = U(scale) * height * width, aspect = exp(U(log
//            ratio)), the box sqrt(area * aspect) wide and sqrt(area / aspect) high, sides rounded half to even, placed
//            uniformly if it fits; else the largest centred box whose aspect is clamped to `ratio`. CropTries::one, the
//            linear probe's: the first box, each side cut to the image's.
// Draws:     Philox, key (seed, crop), counter (element, view, sample, epoch); try t uses elements 4t to 4t + 3 (area,
//            aspect, top, left). Flips: key (seed, flip), element 0, and 1 for the vertical one, p = 0.5. Turns: key
//            (seed, turn), element 0. Computed in f64 on the host, so nothing depends on batch, worker, rank or device.
// Resample:  kernels/augment.h, one image at a time: bicubic, antialiased; u8 as Pillow does it, bit for bit.
#pragma once

#include <cstdint>

#include "mae/color_jitter.h"
#include "mae/draws.h"
#include "mae/image.h"
#include "mae/rand_augment.h"

namespace mae {

struct Crop {
  int top = 0, left = 0, height = 0, width = 0;  // pixels of the source
  bool flip = false;                             // left and right exchanged
};

struct CropRange {
  double scale_low = 0.2, scale_high = 1.0;          // area of the box / area of the image
  double ratio_low = 3.0 / 4, ratio_high = 4.0 / 3;  // width / height
};

enum class CropTries { ten, one };

struct Augmentation {
  bool crop = true;  // random resized crop; false: fit
  CropRange range{};
  CropTries tries = CropTries::ten;
  double share = 1;  // of fit, where there is no crop
  bool flip = true, vertical_flip = false;
  bool turns = false;                  // by 0 to 3 quarters; square outputs alone
  RandAugment rand = no_rand_augment;  // this or
  ColorJitter jitter{};                // that: both are for u8 of 1 or 3 channels
};

inline constexpr Augmentation no_augmentation{.crop = false, .flip = false};

/// Throws kernels::Error where images of this kind, brought to height x width, cannot be augmented like this, and for
/// values out of range.
void check_augmentation(const Augmentation& augmentation, int channels, kernels::DType dtype, int height, int width);

/// Writes what training sees to out: (height, width, channels) in the image's dtype. Operators work where `out` lies:
/// those that are off cost nothing.
void augment(const ImageView& image, const Augmentation& augmentation, const DrawOf& draw, int height, int width,
             std::byte* out);

Crop random_crop(int height, int width, const CropRange& range, const DrawOf& draw,
                 CropTries tries = CropTries::ten);  // box only
bool random_flip(const DrawOf& draw);
bool random_vertical_flip(const DrawOf& draw);
int random_turn(const DrawOf& draw);  // quarters, counterclockwise

/// The box of `image`, flipped if asked for, at height x width. A side that already fits is copied, not resampled.
Image apply(const Image& image, const Crop& crop, int height, int width);

/// The same, written to out: (height, width, channels) in the image's dtype.
void apply(const ImageView& image, const Crop& crop, int height, int width, std::byte* out);

/// For evaluation: the smallest resize that covers the sides int(height / share) and int(width / share) and keeps the
/// aspect, then the centre; share 0.875 is torchvision's Resize(256) with CenterCrop(224). With share 1 an image of
/// this size is handed back as it is.
Image fit(Image image, int height, int width, double share = 1);
void fit(const ImageView& image, int height, int width, std::byte* out, double share = 1);

}  // namespace mae
