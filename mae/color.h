// Operators on the colours of a u8 image of 1 or 3 channels, where it lies, as Pillow 9.4 computes them.
//
// By table:   out = table[in], one table a channel (autocontrast, equalize) or for all of them.
// By blend:   out = other + factor * (in - other) in f32, cut off towards 0 and clipped; factor 0 gives `other` (grey,
//             the mean, black, the smoothed image), 1 the image, more the opposite of `other`.
// Grey level: L = (19595 R + 38470 G + 7471 B + 2^15) / 2^16, in whole numbers, as with_channels has it.
// Promise:    the bits of Pillow's ImageOps and ImageEnhance (tests/golden/pillow.bin); nothing is drawn here.
#pragma once

#include "mae/image.h"

namespace mae {

/// Each channel stretched so that its least value becomes 0 and its largest 255. One of a single value stays.
void autocontrast(const Editable& image);

/// Each channel's values spread evenly by their ranks.
void equalize(const Editable& image);

void invert(const Editable& image);                 // 255 - in
void posterize(const Editable& image, int bits);    // keeps the upper `bits` of 8; 0 gives black
void solarize(const Editable& image, int from);     // 255 - in for values of `from` and above
void solarize_add(const Editable& image, int add);  // in + add, at most 255, for values below 128

void adjust_color(const Editable& image, double factor);       // against its grey levels; grey stays
void adjust_contrast(const Editable& image, double factor);    // against its mean grey level
void adjust_brightness(const Editable& image, double factor);  // against black
void adjust_sharpness(const Editable& image, double factor);  // against a 3 x 3 mean with the middle counted five times

}  // namespace mae
