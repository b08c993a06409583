// Random resized crop and horizontal flip, as the reference recipe has them, and the resampling under both.
//
// Box:       torchvision's RandomResizedCrop. Up to ten times: area = U(scale) * height * width, aspect = exp(U(log
//            ratio)), the box sqrt(area * aspect) wide and sqrt(area / aspect) high, sides rounded half to even, placed
//            uniformly if it fits; else the largest centred box whose aspect is clamped to `ratio`.
// Draws:     Philox, key (seed, crop), counter (element, view, sample, epoch); try t uses elements 4t to 4t + 3 (area,
//            aspect, top, left). Flip: key (seed, flip), element 0, p = 0.5. Computed in f64 on the host, so nothing
//            depends on batch, worker, rank or device.
// Resample:  kernels/augment.h, one image at a time: bicubic, antialiased; u8 as Pillow does it, bit for bit.
#pragma once

#include <cstdint>

#include "mae/image.h"

namespace mae {

struct Crop {
  int top = 0, left = 0, height = 0, width = 0;  // pixels of the source
  bool flip = false;                             // left and right exchanged
};

struct CropRange {
  double scale_low = 0.2, scale_high = 1.0;          // area of the box / area of the image
  double ratio_low = 3.0 / 4, ratio_high = 4.0 / 3;  // width / height
};

/// Which image, of which epoch, for which random stream: the same numbers give the same crop everywhere.
struct DrawOf {
  std::uint32_t seed = 0, sample = 0, epoch = 0, view = 0;
};

Crop random_crop(int height, int width, const CropRange& range, const DrawOf& draw);  // box only
bool random_flip(const DrawOf& draw);

/// Both: what training sees of an image.
Crop random_view(int height, int width, const CropRange& range, const DrawOf& draw);

/// The box of `image`, flipped if asked for, at height x width. A side that already fits is copied, not resampled.
Image apply(const Image& image, const Crop& crop, int height, int width);

/// The same, written to out: (height, width, channels) in the image's dtype.
void apply(const ImageView& image, const Crop& crop, int height, int width, std::byte* out);

/// For evaluation: the smallest resize that covers height x width and keeps the aspect, then the centre. An image of
/// this size is handed back as it is.
Image fit(Image image, int height, int width);
void fit(const ImageView& image, int height, int width, std::byte* out);

}  // namespace mae
